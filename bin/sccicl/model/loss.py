"""The instance-wise and the cluster-aware contrastive loss, with gradient, over tiles of the similarity matrix.

Nothing of the size 2N x 2N is ever stored, and memory is linear in the batch.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import ClusterLossForm
from .loss_symmetric import MIN_TEMPERATURE, Reduce, symmetric_loss


class Losses(NamedTuple):
    """Scalars; only `total` carries a gradient. `cluster` is 0 where its weight is 0: it is not computed then."""

    total: Tensor
    instance: Tensor
    cluster: Tensor


class _ContrastiveLoss(torch.autograd.Function):
    """`symmetric_loss` for autograd: value and gradient are found in one go."""

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


def contrastive_loss(
    first: Tensor,
    second: Tensor,
    pseudo_labels: Tensor,
    *,
    temperature: float = 0.5,
    weight: float = 0.1,
    instance_weight: float = 1.0,
    form: ClusterLossForm = "ratio",
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
      of supervised contrastive learning (Khosla et al. 2020).

    s is the cosine similarity.

    Parameters
    ----------
    first, second
        Projections of the two views, (N, features) each, N >= 2; row i of both is cell i.
    pseudo_labels
        Pseudo-labels of the cells, (N,).
    temperature
        t, at least 0.05.
    weight
        lambda.
    instance_weight
        Weight of the instance-wise loss, 1 in the paper.
    tile_rows
        Rows of the similarity matrix held at a time; by default as many as fit the cache.
    products
        Type of the factors of the matrix products, such as `torch.bfloat16`; by default that of the projections.
        Sums, exponentials and the pairs of views stay in the type of the projections.
    share, reduce
        For several processes that hold the same projections: (i, n) and a function that adds a tensor up over all n
        of them; process i looks at every n-th tile only.

    Raises
    ------
    ValueError
        When the batch has fewer than 2 cells, the shapes do not fit, or the temperature is below 0.05.
    """
    n_cells = len(first)
    if n_cells < 2 or first.shape != second.shape or pseudo_labels.shape != (n_cells,):
        raise ValueError(
            f"a contrastive loss takes two views of the same N >= 2 cells and N pseudo-labels, not "
            f"{tuple(first.shape)}, {tuple(second.shape)} and {tuple(pseudo_labels.shape)}"
        )
    if temperature < MIN_TEMPERATURE:
        raise ValueError(f"the temperature must be at least {MIN_TEMPERATURE}, not {temperature:g}")
    options = {
        "temperature": temperature,
        "form": form,
        "products": products,
        "tile": None if tile_rows is None else (tile_rows, 4 * tile_rows),
        "share": share,
        "reduce": reduce or (lambda sums: sums),
    }
    z = F.normalize(torch.cat([first, second]), dim=1)
    return Losses(*_ContrastiveLoss.apply(z, pseudo_labels.repeat(2), weight, instance_weight, options))
