"""The method as one would first write it in torch, to measure against: nothing is left out and nothing is clever.

A cell is a sequence of one token of `torch.nn.TransformerEncoder`, the similarity matrix is there as a whole, and
scikit-learn clusters every minibatch.
"""

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor, nn

N_HEADS = 2


class NaiveTraining:
    """Model and optimiser of the published setup."""

    def __init__(self, n_genes: int, device: torch.device, *, n_clusters: int, dropout: float = 0.2):
        self.n_clusters = n_clusters
        layer = nn.TransformerEncoderLayer(n_genes, N_HEADS, 1024, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False).to(device)
        self.head = nn.Sequential(nn.Linear(n_genes, 1024), nn.ReLU(), nn.Linear(1024, 512)).to(device)
        self.optimiser = torch.optim.Adam([*self.encoder.parameters(), *self.head.parameters()], lr=1e-4)

    def encode(self, x: Tensor) -> Tensor:
        """H = f(X): (cells, genes) -> (cells, genes)."""
        return self.encoder(x.unsqueeze(1)).squeeze(1)

    def step(self, x: Tensor) -> float:
        """One minibatch: pseudo-labels, two views, losses, step of Adam."""
        self.encoder.eval()
        with torch.no_grad():
            h = self.encode(x)
        found = KMeans(self.n_clusters, random_state=0).fit(h.cpu().numpy())
        centroids = torch.from_numpy(found.cluster_centers_).to(x)
        q = 1 / (1 + torch.cdist(h, centroids) ** 2)
        labels = (q / q.sum(1, keepdim=True)).argmax(1)
        self.encoder.train()
        first, second = (self.head(self.encode(unit_noise(x))) for _ in range(2))
        loss = losses(first, second, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def unit_noise(x: Tensor) -> Tensor:
    """X with Gaussian noise that is mapped to [0, 1]."""
    noise = torch.randn_like(x)
    return x + (noise - noise.min()) / (noise.max() - noise.min())


def losses(first: Tensor, second: Tensor, labels: Tensor, temperature: float = 0.5, weight: float = 0.1) -> Tensor:
    """L_instance + lambda L_cluster from the whole similarity matrix."""
    n_cells = len(first)
    z = F.normalize(torch.cat([first, second]), dim=1)
    similarity = z @ z.T
    labels = labels.repeat(2)
    itself = torch.eye(2 * n_cells, dtype=torch.bool, device=z.device)
    exponentials = torch.exp(similarity / temperature).masked_fill(itself, 0)
    everything = exponentials.sum(1)
    rows = torch.arange(2 * n_cells, device=z.device)
    other_view = exponentials[rows, (rows + n_cells) % (2 * n_cells)]
    same = (labels[:, None] == labels[None, :]) & ~itself
    positives = (exponentials * same).sum(1)
    negatives = (exponentials * ~same).sum(1)
    instance = -torch.log(other_view / everything).mean()
    cluster = -torch.log(positives / (positives + negatives)).mean()
    return instance + weight * cluster
