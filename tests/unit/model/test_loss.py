"""Both losses and their gradients against double loops written from the equations, in float64."""

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from sccicl.model.loss import contrastive_loss
from sccicl.model.loss_symmetric import symmetric_loss
from sccicl.runtime.profiling import stage

FORMS = ("ratio", "supcon")


def similarity(a, b):
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / (sum(x * x for x in a).sqrt() * sum(y * y for y in b).sqrt())


def by_equation(first, second, labels, temperature, form):
    """Equations 12 to 16 (and the other form of 15), a row and a pair at a time."""
    n = len(first)
    z = list(first) + list(second)
    y = [int(label) for label in labels] * 2
    e = [[(similarity(a, b) / temperature).exp() for b in z] for a in z]
    instance = cluster = 0.0
    for i in range(2 * n):
        view = (i + n) % (2 * n)
        others = [j for j in range(2 * n) if j != i]
        positives = [j for j in others if y[j] == y[i]]
        everything = sum(e[i][j] for j in others)
        instance = instance - (e[i][view] / everything).log() / (2 * n)
        if form == "ratio":
            value = -(sum(e[i][j] for j in positives) / everything).log()
        else:
            value = -sum((e[i][j] / everything).log() for j in positives) / len(positives)
        cluster = cluster + value / (2 * n)
    return instance, cluster


def by_matrices(first, second, labels, temperature, form):
    """The same equations on whole matrices, which the double loop holds to account on few rows."""
    z = F.normalize(torch.cat([first, second]), dim=1)
    n_rows, y = len(z), labels.repeat(2)
    itself = torch.eye(n_rows, dtype=torch.bool)
    log_p = (z @ z.T / temperature).masked_fill(itself, -torch.inf).log_softmax(1)
    instance = -log_p[torch.arange(n_rows), torch.arange(n_rows).roll(n_rows // 2)].mean()
    positive = (y[:, None] == y) & ~itself
    if form == "ratio":
        cluster = -log_p.masked_fill(~positive, -torch.inf).logsumexp(1).mean()
    else:
        cluster = -(log_p.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()
    return instance, cluster


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("labels", "temperature", "tile_rows"),
    [
        ([0, 1], 0.5, 1),
        ([0, 0], 0.5, 4),
        ([0, 1, 0, 2, 1, 0, 2], 0.5, 3),
        ([3, 3, 3, 3, 3], 0.1, None),
        ([0, 1, 2, 3, 4], 0.07, 7),
        ([0, 1, 0, 1, 0], 0.05, 3),
    ],
)
def test_value_and_gradient(form, labels, temperature, tile_rows):
    generator = torch.Generator().manual_seed(len(labels))
    n, weight, instance_weight = len(labels), 0.3, 0.7
    first, second = (torch.randn(n, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    labels = torch.tensor(labels)

    instance, cluster = by_equation(first, second, labels, temperature, form)
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
        tile_rows=tile_rows,
    )
    found = torch.autograd.grad(losses.total, (first, second))

    torch.testing.assert_close(losses.instance, instance.detach())
    torch.testing.assert_close(losses.cluster, cluster.detach())
    torch.testing.assert_close(losses.total.detach(), total.detach())
    for ours, theirs in itertools.zip_longest(found, expected):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("products", "tolerance"), [(None, 1e-5), (torch.bfloat16, 2e-2)], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("temperature", [0.5, 0.05])
@pytest.mark.parametrize("form", FORMS)
def test_every_device_and_number_type(form, temperature, products, tolerance, device):
    """70 rows are no multiple of any tile; the equations on whole matrices in float64 are the truth."""
    generator = torch.Generator().manual_seed(5)
    views = [torch.randn(35, 24, generator=generator, dtype=torch.float64) for _ in range(2)]
    labels = torch.randint(4, (35,), generator=generator)

    def found(device, dtype, **options):
        first, second = (view.to(device, dtype).requires_grad_() for view in views)
        losses = contrastive_loss(
            first, second, labels.to(device), temperature=temperature, weight=0.4, form=form, **options
        )
        (gradient,) = torch.autograd.grad(losses.total, first)
        return losses.total.item(), gradient.double().cpu()

    instance, cluster = by_matrices(*views, labels, temperature, form)
    truth = (instance + 0.4 * cluster).item()
    (value, gradient), (_, exact) = found(device, torch.float32, products=products), found("cpu", torch.float64)
    assert value == pytest.approx(truth, rel=tolerance)
    assert (gradient - exact).norm() <= tolerance * exact.norm()


@pytest.mark.parametrize("form", FORMS)
def test_without_weight_the_cluster_loss_is_left_out(form):
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    instance, _ = by_equation(first, second, labels, 0.5, form)
    losses = contrastive_loss(first, second, labels, weight=0.0, form=form)
    torch.testing.assert_close(losses.total, instance)
    assert losses.cluster == 0


def test_weights_and_temperature_are_the_papers_unless_told():
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    instance, cluster = by_equation(first, second, labels, 0.5, "ratio")
    torch.testing.assert_close(contrastive_loss(first, second, labels).total, instance + 0.1 * cluster)


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


def test_many_tiles_with_clusters_across_their_borders():
    generator = torch.Generator().manual_seed(2)
    first, second = (torch.randn(83, 6, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    few = first[:6], second[:6], torch.tensor([0, 1, 0, 2, 1, 0])
    for form, n_clusters, tile_rows in itertools.product(FORMS, (1, 4, 83), (3, 16, 200)):
        torch.testing.assert_close(by_matrices(*few, 0.5, form), by_equation(*few, 0.5, form))
        labels = torch.randint(n_clusters, (83,), generator=generator)
        ours = contrastive_loss(first, second, labels, form=form, weight=0.4, tile_rows=tile_rows)
        instance, cluster = by_matrices(first, second, labels, 0.5, form)
        torch.testing.assert_close(tuple(ours), (instance + 0.4 * cluster, instance, cluster))
        torch.testing.assert_close(
            torch.autograd.grad(ours.total, (first, second)),
            torch.autograd.grad(instance + 0.4 * cluster, (first, second)),
        )


def test_a_temperature_whose_exponentials_float32_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r"temperature must be at least 0\.05"):
        contrastive_loss(torch.eye(3), torch.eye(3), torch.tensor([0, 0, 1]), temperature=0.04)


def test_bfloat16_products_stay_within_their_tolerance():
    """0.1 % of the losses and 2 % of the gradient's length, as docs/performance.md promises."""
    generator = torch.Generator().manual_seed(3)
    centre = torch.randn(5, 64, generator=generator)
    labels = torch.arange(600) % 5
    first, second = ((centre[labels] + torch.randn(600, 64, generator=generator)).requires_grad_() for _ in range(2))
    for form in FORMS:
        exact = contrastive_loss(first.double(), second.double(), labels, form=form, weight=1.0, instance_weight=0.1)
        low = contrastive_loss(
            first, second, labels, form=form, weight=1.0, instance_weight=0.1, products=torch.bfloat16
        )
        for ours, theirs in zip(low, exact, strict=True):
            assert ours.item() == pytest.approx(theirs.item(), rel=1e-3)
        expected = torch.autograd.grad(exact.total, first)[0]
        error = torch.autograd.grad(low.total, first)[0] - expected
        # Some error there is: float32 is a thousand times nearer.
        assert 1e-5 * expected.norm() < error.norm() < 0.02 * expected.norm()


def test_shares_of_the_tiles_add_up():
    """What several processes do: two passes over their own tiles, sums added up in between."""
    generator = torch.Generator().manual_seed(4)
    z = torch.nn.functional.normalize(torch.randn(120, 8, generator=generator, dtype=torch.float64), dim=1)
    labels = torch.randint(3, (60,), generator=generator).repeat(2)
    options = {"temperature": 0.5, "weight": 0.3, "instance_weight": 1.0, "form": "ratio", "tile": (16, 32)}
    whole = symmetric_loss(z, labels, **options)
    n_processes = 3
    barrier = threading.Barrier(n_processes)
    boxes = [None] * n_processes

    def process(rank):
        def reduce(tensor):
            boxes[rank] = tensor
            barrier.wait()
            total = sum(boxes)
            barrier.wait()
            return total

        return symmetric_loss(z, labels, share=(rank, n_processes), reduce=reduce, **options)

    with ThreadPoolExecutor(n_processes) as pool:
        for parts in pool.map(process, range(n_processes)):
            torch.testing.assert_close(tuple(parts), tuple(whole))


def test_memory_is_linear_in_the_batch():
    """Of 8,192 rows the similarity matrix would take 256 MB; besides the gradient only tiles are held."""
    z = torch.nn.functional.normalize(torch.randn(8192, 16), dim=1)
    labels = torch.randint(8, (4096,)).repeat(2)
    psutil = pytest.importorskip("psutil")
    before, stages = psutil.Process().memory_info().rss, {}
    with stage("loss", stages):
        symmetric_loss(z, labels, temperature=0.5, weight=0.1, instance_weight=1.0, form="ratio")
    assert stages["loss"]["peak_memory_mb"] - before / 2**20 < 64


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


def test_gradient_of_a_multiple_of_the_loss():
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    first.requires_grad_()
    losses = contrastive_loss(first, second, torch.tensor([0, 1, 0, 1, 2, 2]))
    once, thrice = (torch.autograd.grad(n * losses.total, first, retain_graph=True)[0] for n in (1, 3))
    torch.testing.assert_close(thrice, 3 * once)
