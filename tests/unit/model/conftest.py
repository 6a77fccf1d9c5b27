"""The device that a test of the model runs on: the CPU, a pretended accelerator, and a GPU where there is one."""

from contextlib import suppress

import pytest
import torch

pretended_device = None
if not torch.cuda.is_available():  # a process has gradients on one kind of accelerator only
    with suppress(ImportError):  # a torch before 2.10
        # Before the first gradient of the process: torch counts the devices once.
        from pretended_device import pretended_device


@pytest.fixture(params=["cpu", "pretended", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """A `torch.device`; of a GPU by `pytest -m gpu`."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    if request.param != "pretended":
        yield torch.device(request.param)
        return
    if pretended_device is None:
        pytest.skip("there is a GPU here, or this torch takes no backend that is written in Python")
    with pretended_device() as chosen:
        yield chosen
