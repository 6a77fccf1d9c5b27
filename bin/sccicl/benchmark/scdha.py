"""scDHA, written anew from descriptions of it: "scDHA (reimplemented)" in the tables.

Tran et al. (2021), Fast and precise single-cell data analysis using a hierarchical autoencoder, Nature Communications
12:1029, doi:10.1038/s41467-021-21312-2. Cells are scaled to 0..1; an autoencoder whose encoder is not negative picks
genes; variational autoencoders with two decoders, trained several times, give embeddings; each is cut by spectral
clustering of the graph of nearest neighbours by Pearson's correlation; the partitions are joined.

Ours, and not the paper's: partitions are joined by average linkage of how often cells share a cluster, where the paper
has a weighted meta-clustering; genes are chosen by weight times spread, where the paper has the weights; sizes, rates
and epochs that the text leaves open are our choice; k has to be given.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from anndata import AnnData


N_RUNS, N_STATES = 3, 3
# Picking of genes
N_GENES, N_PARTS, PART_EPOCHS, PART_LR = 5000, 32, 10, 1e-3
# Variational autoencoders: units, noise of the latent space, epochs of the reconstruction alone and of the whole loss
N_HIDDEN, N_LATENT, NOISE, WARM_UP, EPOCHS, LR, MSE_WEIGHT = 64, 15, 0.25, 10, 20, 5e-4, 100.0
# Cells that are trained on, and the number of batches of an epoch
N_TRAINED, N_BATCHES = 2000, 50
# Spectral clustering; above so many cells some are clustered and the others vote
N_NEIGHBOURS, N_STARTS, MANY_CELLS, N_CLUSTERED, N_VOTERS = 7, 50, 5000, 2000, 10
# log2(1 + x) is taken where values go beyond this.
RAW_RANGE = 100.0


def scaled(counts: np.ndarray) -> np.ndarray:
    """log2(1 + x) where the values span more than 100, then each cell from 0 to 1, (cells, genes)."""
    x = np.asarray(counts, dtype=np.float32)
    if x.max() - x.min() > RAW_RANGE:
        x = np.log2(1 + x)
    low, high = x.min(1, keepdims=True), x.max(1, keepdims=True)
    return (x - low) / np.maximum(high - low, np.finfo(np.float32).tiny)


def gene_scores(x: "torch.Tensor", seed: int) -> "torch.Tensor":
    """How differently a gene adds to the parts of an encoder whose weights are not negative, (genes,).

    One linear layer of 32 units encodes, one decodes; the loss is the mean squared error. The score is the standard
    deviation of a gene's weights, times that of its values: Adam's steps are as long for a gene that one cell has as
    for one that all have, so that weights alone would choose genes that hardly any cell expresses.
    """
    import torch

    torch.manual_seed(seed)
    encode, decode = torch.nn.Linear(x.shape[1], N_PARTS), torch.nn.Linear(N_PARTS, x.shape[1])
    with torch.no_grad():
        encode.weight.clamp_(min=0)
    optimiser = torch.optim.AdamW([*encode.parameters(), *decode.parameters()], lr=PART_LR, fused=True)
    for batch in _batches(x, PART_EPOCHS):
        loss = torch.nn.functional.mse_loss(decode(encode(batch)), batch)
        _step(loss, optimiser)
        with torch.no_grad():
            encode.weight.clamp_(min=0)
    return encode.weight.detach().std(0) * x.std(0)


def _batches(x: "torch.Tensor", epochs: int):
    """Batches of a fiftieth of the cells, at least two, in a new order in each epoch."""
    import torch

    size = max(2, -(-len(x) // N_BATCHES))
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(size):
            yield x[chosen]


def _step(loss: "torch.Tensor", optimiser: "torch.optim.Optimizer") -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def latent_states(x: "torch.Tensor", trained: "torch.Tensor", seed: int) -> list[np.ndarray]:
    """Means of the latent space after each of three last epochs of one autoencoder, (cells, 15) each.

    z = mean + noise * standard deviation; a linear and a sigmoid decoder reconstruct from draws of their own. Ten
    epochs of the absolute error are followed by 20 of 100 * mean squared error + Kullback-Leibler divergence.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    encode = nn.Sequential(nn.Linear(x.shape[1], N_HIDDEN), nn.SELU())
    mean, log_variance = nn.Linear(N_HIDDEN, N_LATENT), nn.Linear(N_HIDDEN, N_LATENT)
    decoders = nn.ModuleList(
        nn.Sequential(nn.Linear(N_LATENT, N_HIDDEN), nn.SELU(), nn.Linear(N_HIDDEN, x.shape[1]), last)
        for last in (nn.Identity(), nn.Sigmoid())
    )
    parts = nn.ModuleList([encode, mean, log_variance, decoders])
    optimiser = torch.optim.AdamW(parts.parameters(), lr=LR, fused=True)
    cells, states = x[trained], []

    def train(epochs: int, *, warm: bool) -> None:
        for batch in _batches(cells, epochs):
            hidden = encode(batch)
            mu, log_var = mean(hidden), log_variance(hidden)
            # A standard deviation that runs away ends the training with numbers that are none.
            log_var = log_var.clamp(-10, 10)
            loss = 0.0
            for decode in decoders:
                z = mu + torch.exp(log_var / 2) * torch.randn_like(mu) * NOISE
                error = nn.functional.l1_loss if warm else nn.functional.mse_loss
                loss = loss + error(decode(z), batch) * (1.0 if warm else MSE_WEIGHT)
            if not warm:
                loss = loss + divergence(mu, log_var)
            _step(loss, optimiser)

    train(WARM_UP, warm=True)
    train(EPOCHS, warm=False)
    for _ in range(N_STATES):
        train(1, warm=False)
        with torch.no_grad():
            states.append(mean(encode(x)).numpy().astype(np.float64))
    return states


def divergence(mean: "torch.Tensor", log_variance: "torch.Tensor") -> "torch.Tensor":
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1), mean over cells and latent units."""
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()


def embeddings(cells: "AnnData", seed: int) -> list[np.ndarray]:
    """Nine embeddings, (cells, 15) each: three autoencoders, three states of each."""
    import torch

    x = torch.from_numpy(scaled(cells.layers["counts"].toarray()))
    if x.shape[1] > N_GENES:
        trained = _some(len(x), N_TRAINED, seed)
        scores = torch.stack([gene_scores(x[trained], seed * N_RUNS + run) for run in range(N_RUNS)]).mean(0)
        x = x[:, scores.topk(N_GENES).indices.sort().values].contiguous()
    found = []
    for run in range(N_RUNS):
        own = seed * N_RUNS + run
        found += latent_states(x, torch.from_numpy(_some(len(x), N_TRAINED, own)), own)
    return found


def _some(n: int, most: int, seed: int) -> np.ndarray:
    """Rows of `most` cells at random, in order; all where there are no more."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def unit_rows(embedding: np.ndarray) -> np.ndarray:
    """Rows less their mean, of length 1: the product of two is Pearson's correlation."""
    centred = embedding - embedding.mean(1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def spectral(embedding: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Spectral clustering (Ng, Jordan and Weiss) of the graph of nearest neighbours by Pearson's correlation, (cells,).

    The graph is made symmetric; K-means with 50 starts cuts the unit rows of the first k eigenvectors of the normalised
    graph.
    """
    from scipy import sparse
    from scipy.sparse.linalg import eigsh
    from sklearn.cluster import KMeans
    from sklearn.neighbors import kneighbors_graph

    n = len(embedding)
    # On unit rows the order of Euclidean distances is that of correlations.
    near = kneighbors_graph(unit_rows(embedding), min(N_NEIGHBOURS, n - 1), mode="connectivity")
    graph = near.maximum(near.T)
    scale = sparse.diags_array(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    normalised = scale @ graph @ scale
    if k < n - 1 and n > 200:
        start = np.random.default_rng(seed).random(n)
        # Eigenvalues lie in -1..1: those next to 1.
        _, vectors = eigsh(normalised, k, which="LA", v0=start, ncv=min(n, max(4 * k, 40)), maxiter=20 * n)
    else:
        vectors = np.linalg.eigh(normalised.toarray())[1][:, -k:]
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return KMeans(k, n_init=N_STARTS, random_state=seed).fit_predict(rows)


def cut(embedding: np.ndarray, k: int, seed: int) -> np.ndarray:
    """`spectral`; above 5,000 cells 2,000 are clustered, the others take the most frequent cluster of 10 neighbours."""
    from sklearn.neighbors import KNeighborsClassifier

    n = len(embedding)
    if n <= MANY_CELLS:
        return spectral(embedding, k, seed)
    chosen = _some(n, N_CLUSTERED, seed)
    labels = spectral(embedding[chosen], k, seed)
    rows = unit_rows(embedding)
    return KNeighborsClassifier(N_VOTERS).fit(rows[chosen], labels).predict(rows)


def consensus(found: list[np.ndarray], k: int, seed: int) -> np.ndarray:
    """Average linkage, cut at k, of the share of partitions in which two cells are apart, (cells,).

    Cells that are together in all partitions are one point of the linkage, with the weight of a cell for each.
    """
    partitions = np.stack([cut(embedding, k, seed) for embedding in found], axis=1)
    return joined(partitions, k)


def joined(partitions: np.ndarray, k: int) -> np.ndarray:
    """Join partitions (cells, partitions) into one of k clusters; see `consensus`."""
    patterns, which, sizes = np.unique(partitions, axis=0, return_inverse=True, return_counts=True)
    which = which.ravel()
    n = len(patterns)
    apart = np.zeros((n, n))
    for column in patterns.T:
        apart += column[:, None] != column[None, :]
    apart /= partitions.shape[1]
    return average_linkage(apart, sizes.astype(float), min(k, n))[which]


def average_linkage(distance: np.ndarray, weight: np.ndarray, k: int) -> np.ndarray:
    """Average linkage (UPGMA) of points with weights, cut at k clusters, (points,).

    Lance and Williams' update with weights for sizes: the distance of two clusters is the mean over their weights.
    """
    distance, weight = distance.copy(), weight.copy()
    np.fill_diagonal(distance, np.inf)
    labels = np.arange(len(weight))
    for _ in range(len(weight) - k):
        first, second = sorted(np.unravel_index(distance.argmin(), distance.shape))
        share = weight[first] / (weight[first] + weight[second])
        row = share * distance[first] + (1 - share) * distance[second]
        row[[first, second]] = np.inf
        distance[first], distance[:, first] = row, row
        distance[second], distance[:, second] = np.inf, np.inf
        weight[first] += weight[second]
        labels[labels == second] = first
    return np.unique(labels, return_inverse=True)[1]
