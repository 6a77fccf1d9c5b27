"""The instance-wise and the cluster-aware contrastive loss, with gradient, over tiles of the similarity matrix.

Nothing of the size 2N x 2N is ever stored, and memory is linear in the batch. Cosines are bounded and go the fast way
of `loss_symmetric`. For dot products and very low temperatures every row needs a log-sum-exp with a maximum of its own:
a tile of rows meets all columns at once, so that value and gradient are known before the tile is left.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import ClusterLossForm
from .loss_symmetric import MIN_TEMPERATURE, Reduce, symmetric_loss

# Entries of one tile of the similarity matrix: 4 MB in float32, which a few tiles of a common last-level cache hold.
TILE_ENTRIES = 2**20


class Losses(NamedTuple):
    """Scalars; only `total` carries a gradient. `cluster` is 0 where its weight is 0: it is not computed then."""

    total: Tensor
    instance: Tensor
    cluster: Tensor


class _BoundedLoss(torch.autograd.Function):
    """The loss of unit rows by `symmetric_loss`."""

    @staticmethod
    def forward(ctx, z, pseudo_labels, weight, instance_weight, options):
        parts = symmetric_loss(z, pseudo_labels, weight=weight, instance_weight=instance_weight, **options)
        ctx.save_for_backward(parts.gradient)
        ctx.mark_non_differentiable(parts.instance, parts.cluster)
        return instance_weight * parts.instance + weight * parts.cluster, parts.instance, parts.cluster

    @staticmethod
    def backward(ctx, d_total, _d_instance, _d_cluster):
        (gradient,) = ctx.saved_tensors
        return gradient * d_total, None, None, None, None


class _ContrastiveLoss(torch.autograd.Function):
    """The loss of any rows, a tile of rows at a time."""

    @staticmethod
    def forward(ctx, z, pseudo_labels, temperature, weight, instance_weight, form, tile_rows):
        n_rows = len(z)
        n_cells = n_rows // 2
        scale = 1.0 / temperature
        gradient = torch.zeros_like(z)
        instance = z.new_zeros(())
        cluster = z.new_zeros(())
        for start in range(0, n_rows, tile_rows):
            stop = min(start + tile_rows, n_rows)
            rows = torch.arange(start, stop, device=z.device)
            here = torch.arange(stop - start, device=z.device)
            other_view = (rows + n_cells) % n_rows
            similarity = (z[start:stop] @ z.T).mul_(scale)
            similarity[here, rows] = -torch.inf
            positive = similarity[here, other_view]
            log_all = similarity.logsumexp(1)
            instance += (log_all - positive).sum()

            same = pseudo_labels[start:stop, None] == pseudo_labels[None, :]
            same[here, rows] = False
            probability = (similarity - log_all[:, None]).exp_()
            if form == "ratio":
                log_same = similarity.masked_fill(~same, -torch.inf).logsumexp(1)
                cluster += (log_all - log_same).sum()
                target = (similarity - log_same[:, None]).exp_().masked_fill_(~same, 0.0)
                d_similarity = probability.mul_(instance_weight + weight).sub_(target, alpha=weight)
            elif form == "supcon":
                target = same.to(z.dtype).div_(same.sum(1, keepdim=True))
                cluster += (log_all - similarity.masked_fill(~same, 0.0).mul_(target).sum(1)).sum()
                d_similarity = probability.mul_(instance_weight + weight).sub_(target, alpha=weight)
            else:
                same[here, other_view] = False
                same[here, rows] = True
                log_rest = similarity.masked_fill(same, -torch.inf).logsumexp(1)
                cluster += (log_rest - positive).sum()
                rest = (similarity - log_rest[:, None]).exp_().masked_fill_(same, 0.0)
                d_similarity = probability.mul_(instance_weight).add_(rest, alpha=weight)
                d_similarity[here, other_view] -= weight
            d_similarity[here, other_view] -= instance_weight
            d_similarity.mul_(scale / n_rows)
            gradient[start:stop] += d_similarity @ z
            gradient.addmm_(d_similarity.T, z[start:stop])
        instance /= n_rows
        cluster = cluster / n_rows if weight else torch.zeros_like(cluster)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(instance, cluster)
        return instance_weight * instance + weight * cluster, instance, cluster

    @staticmethod
    def backward(ctx, d_total, _d_instance, _d_cluster):
        (gradient,) = ctx.saved_tensors
        return gradient * d_total, None, None, None, None, None, None


def contrastive_loss(
    first: Tensor,
    second: Tensor,
    pseudo_labels: Tensor,
    *,
    temperature: float = 0.5,
    weight: float = 0.1,
    instance_weight: float = 1.0,
    form: ClusterLossForm = "ratio",
    cosine: bool = True,
    tile_rows: int | None = None,
    products: torch.dtype | None = None,
    share: tuple[int, int] = (0, 1),
    reduce: Reduce | None = None,
) -> Losses:
    """L = L_instance + lambda L_cluster of a minibatch (equations 12 to 17).

    With s the similarity, t the temperature, v(i) the other view of row i and P(i) the other rows with the pseudo-label
    of i, averaged over the 2N rows:

    - instance: -log( exp(s(z_i, z_v(i))/t) / sum_{j != i} exp(s(z_i, z_j)/t) );
    - cluster, `form="ratio"`, the paper's: -log( sum_{j in P(i)} exp(s/t) / sum_{j != i} exp(s/t) );
    - cluster, `form="supcon"`: the mean over j in P(i) of -log( exp(s(z_i, z_j)/t) / sum_{l != i} exp(s/t) ), the loss
      of supervised contrastive learning (Khosla et al. 2020);
    - cluster, `form="other-view"`: v(i) is the only positive and rows with another pseudo-label are the negatives.

    Parameters
    ----------
    first, second
        Projections of the two views, (N, features) each, N >= 2; row i of both is cell i.
    pseudo_labels
        Pseudo-labels of the cells, (N,).
    temperature, weight
        t and lambda.
    instance_weight
        Weight of the instance-wise loss, 1 in the paper.
    cosine
        Cosine similarity; the dot product otherwise (equation 13).
    tile_rows
        Rows of the similarity matrix held at a time; by default what holds 1 M entries, or tiles that fit the cache.
    products
        Type of the factors of the matrix products, such as `torch.bfloat16`; by default that of the projections.
        Sums, exponentials and the pairs of views stay in the type of the projections.
    share, reduce
        For several processes that hold the same projections: (i, n) and a function that adds a tensor up over all n
        of them; process i looks at every n-th tile only.

    Raises
    ------
    ValueError
        When the batch has fewer than 2 cells or the shapes do not fit.
    """
    n_cells = len(first)
    if n_cells < 2 or first.shape != second.shape or pseudo_labels.shape != (n_cells,):
        raise ValueError(
            f"a contrastive loss takes two views of the same N >= 2 cells and N pseudo-labels, not "
            f"{tuple(first.shape)}, {tuple(second.shape)} and {tuple(pseudo_labels.shape)}"
        )
    z = torch.cat([first, second])
    pseudo_labels = pseudo_labels.repeat(2)
    if cosine and temperature >= MIN_TEMPERATURE:
        options = {
            "temperature": temperature,
            "form": form,
            "products": products,
            "tile": None if tile_rows is None else (tile_rows, 4 * tile_rows),
            "share": share,
            "reduce": reduce or (lambda sums: sums),
        }
        return Losses(*_BoundedLoss.apply(F.normalize(z, dim=1), pseudo_labels, weight, instance_weight, options))
    if cosine:
        z = F.normalize(z, dim=1)
    if tile_rows is None:
        tile_rows = max(1, TILE_ENTRIES // (2 * n_cells))
    # Several processes each do all of it: rare settings are not worth a second way to share the work.
    return Losses(*_ContrastiveLoss.apply(z, pseudo_labels, temperature, weight, instance_weight, form, tile_rows))
