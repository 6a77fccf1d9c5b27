"""The CUDA kernels, run by Triton's interpreter on the CPU, against sums in float64 written from the equations."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

PROGRAM = """
import torch
from sccicl.model.loss_triton import TritonBackend

torch.manual_seed(0)
for n_rows, n_features, n_parts, block_entries in ((70, 20, 1, 1 << 20), (130, 40, 2, 130 * 50)):
    z = torch.nn.functional.normalize(torch.randn(n_rows, n_features), dim=1)
    labels = torch.randint(3, (n_rows,))
    all_rate, same_rate = torch.rand(n_rows), torch.rand(n_rows)
    scale = 2.0
    exact = z.double()
    e = ((exact @ exact.T - 1) * scale).exp().fill_diagonal_(0)
    same = labels[:, None] == labels
    rate = all_rate[:, None] + all_rate + same * (same_rate[:, None] + same_rate)
    found = [torch.zeros(2, n_rows), torch.zeros(n_rows, n_features)]
    for part in range(n_parts):
        own = slice(n_rows * part // n_parts, n_rows * (part + 1) // n_parts)
        backend = TritonBackend(z * scale**0.5, labels, scale, own, block_entries)
        found[0] += backend.sums()
        found[1] += backend.gradient(all_rate, same_rate)
    torch.testing.assert_close(found[0].double(), torch.stack([e.sum(1), (e * same).sum(1)]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[1].double(), (e * rate) @ exact * scale**0.5, rtol=1e-4, atol=1e-5)

# The whole losses, as a GPU has them: rows sorted by pseudo-label, and not
from sccicl.model import loss_symmetric
from sccicl.model.loss import contrastive_loss

def losses(form, dtype):
    views = [view.to(dtype).requires_grad_() for view in pair]
    found = contrastive_loss(*views, pair_labels, form=form, weight=0.4)
    return [found.total.detach().double(), *(g.double() for g in torch.autograd.grad(found.total, views))]

pair, pair_labels = torch.randn(2, 40, 12), torch.randint(5, (40,))
exact = {form: losses(form, torch.float64) for form in ("ratio", "supcon")}
loss_symmetric._has_kernels = lambda z: True
for loss_symmetric.UNSORTED_ROWS in (0, 4096):
    for form in exact:
        torch.testing.assert_close(losses(form, torch.float32), exact[form], rtol=1e-4, atol=1e-6)
print("equal")
"""


def test_kernels_by_the_interpreter():
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": str(Path(__file__).parents[3] / "bin"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "equal\n", done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("form", ["ratio", "supcon"])
def test_losses_on_the_gpu_are_those_on_the_cpu(form):
    from sccicl.model.loss import contrastive_loss

    torch.manual_seed(1)
    first, second, labels = torch.randn(1000, 500), torch.randn(1000, 500), torch.randint(7, (1000,))
    results = []
    for device in ("cpu", "cuda"):
        views = [view.to(device).requires_grad_() for view in (first, second)]
        losses = contrastive_loss(*views, labels.to(device), form=form)
        results.append([losses.total.detach().cpu(), torch.autograd.grad(losses.total, views[0])[0].cpu()])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_plain_tiles_where_kernels_cannot_be_compiled(monkeypatch, capsys):
    """On the machine of a user without a C compiler, which Triton calls at run time."""
    from sccicl.model import loss_symmetric, loss_triton

    def failing(*_):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")

    monkeypatch.setattr(loss_triton.TritonBackend, "sums", failing)
    loss_symmetric._kernels_work.cache_clear()
    device = torch.device("cpu")
    assert [loss_symmetric._kernels_work(device) for _ in range(2)] == [False, False]
    told = capsys.readouterr().err
    assert told.count("WARNING: Triton's kernels cannot be used on cpu (Failed to find C compiler") == 1
    assert "more" not in told
    loss_symmetric._kernels_work.cache_clear()


def test_one_kernel_for_all_numbers_of_rows():
    """Each sample has minibatches of other sizes, and each compilation takes seconds."""
    from sccicl.model import loss_triton

    for kernel in (loss_triton._sums_kernel, loss_triton._weights_kernel):
        of_rows = [p for p in kernel.params if p.name in ("n_rows", "first_row", "last_row", "stride")]
        assert len(of_rows) >= 3
        assert all(p.do_not_specialize and not p.is_constexpr for p in of_rows)
