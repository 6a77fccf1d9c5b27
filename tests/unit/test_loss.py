"""Both losses and their gradients against double loops written from the equations, in float64."""

import itertools
import math

import pytest
import torch
from sccicl.loss import contrastive_loss

FORMS = ("ratio", "supcon", "other-view")


def similarity(a, b, cosine):
    product = sum(x * y for x, y in zip(a, b, strict=True))
    if cosine:
        product = product / (sum(x * x for x in a).sqrt() * sum(y * y for y in b).sqrt())
    return product


def by_equation(first, second, labels, temperature, form, cosine):
    """Equations 12 to 16 (and the two other forms of 15), a row and a pair at a time."""
    n = len(first)
    z = list(first) + list(second)
    y = [int(label) for label in labels] * 2
    e = [[(similarity(a, b, cosine) / temperature).exp() for b in z] for a in z]
    instance = cluster = 0.0
    for i in range(2 * n):
        view = (i + n) % (2 * n)
        others = [j for j in range(2 * n) if j != i]
        positives = [j for j in others if y[j] == y[i]]
        negatives = [j for j in others if y[j] != y[i]]
        everything = sum(e[i][j] for j in others)
        instance = instance - (e[i][view] / everything).log() / (2 * n)
        if form == "ratio":
            value = -(sum(e[i][j] for j in positives) / everything).log()
        elif form == "supcon":
            value = -sum((e[i][j] / everything).log() for j in positives) / len(positives)
        else:
            value = -(e[i][view] / (e[i][view] + sum(e[i][j] for j in negatives))).log()
        cluster = cluster + value / (2 * n)
    return instance, cluster


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("labels", "cosine", "temperature", "tile_rows"),
    [
        ([0, 1], True, 0.5, 1),
        ([0, 0], True, 0.5, 4),
        ([0, 1, 0, 2, 1, 0, 2], True, 0.5, 3),
        ([0, 1, 0, 2, 1, 0, 2], False, 0.8, 5),
        ([3, 3, 3, 3, 3], True, 0.1, None),
        ([0, 1, 2, 3, 4], True, 0.07, 7),
    ],
)
def test_value_and_gradient(form, labels, cosine, temperature, tile_rows):
    generator = torch.Generator().manual_seed(len(labels))
    n, weight, instance_weight = len(labels), 0.3, 0.7
    first, second = (torch.randn(n, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    labels = torch.tensor(labels)

    instance, cluster = by_equation(first, second, labels, temperature, form, cosine)
    total = instance_weight * instance + weight * cluster
    expected = torch.autograd.grad(total, (first, second))
    losses = contrastive_loss(
        first,
        second,
        labels,
        temperature=temperature,
        weight=weight,
        instance_weight=instance_weight,
        form=form,
        cosine=cosine,
        tile_rows=tile_rows,
    )
    found = torch.autograd.grad(losses.total, (first, second))

    torch.testing.assert_close(losses.instance, instance.detach())
    torch.testing.assert_close(losses.cluster, cluster.detach())
    torch.testing.assert_close(losses.total.detach(), total.detach())
    for ours, theirs in itertools.zip_longest(found, expected):
        torch.testing.assert_close(ours, theirs)


def test_tiles_do_not_change_float32():
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(150, 16, generator=generator).requires_grad_() for _ in range(2))
    labels = torch.randint(4, (150,), generator=generator)
    whole = contrastive_loss(first, second, labels, tile_rows=300)
    tiles = contrastive_loss(first, second, labels, tile_rows=17)
    torch.testing.assert_close(whole.total, tiles.total)
    torch.testing.assert_close(
        torch.autograd.grad(whole.total, first)[0], torch.autograd.grad(tiles.total, first)[0], atol=1e-7, rtol=1e-5
    )


def test_identical_views_of_orthogonal_cells():
    """s = 1 with the other view and 0 with the rest: each loss in closed form."""
    z = torch.eye(3, dtype=torch.float64)
    losses = contrastive_loss(z, z, torch.tensor([0, 0, 1]), temperature=0.5)
    everything = math.e**2 + 4
    instance = -math.log(math.e**2 / everything)
    cluster = -(4 * math.log((math.e**2 + 2) / everything) + 2 * math.log(math.e**2 / everything)) / 6
    assert losses.instance.item() == pytest.approx(instance, abs=1e-12)
    assert losses.cluster.item() == pytest.approx(cluster, abs=1e-12)


@pytest.mark.parametrize(("first", "second", "labels"), [((1, 3), (1, 3), 1), ((4, 3), (5, 3), 4), ((4, 3), (4, 3), 3)])
def test_shapes_that_do_not_fit(first, second, labels):
    with pytest.raises(ValueError, match="N >= 2 cells"):
        contrastive_loss(torch.ones(first), torch.ones(second), torch.zeros(labels, dtype=torch.long))
