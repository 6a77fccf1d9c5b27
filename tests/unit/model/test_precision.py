"""TF32 is for the steps of a training alone."""

import pytest
import torch
from sccicl.model.precision import tensor_core_products


@pytest.mark.parametrize(("device", "within"), [("cuda", "high"), ("cpu", "highest")])
def test_the_precision_of_products_is_restored(device, within):
    before = torch.get_float32_matmul_precision()
    assert before == "highest"
    with tensor_core_products(torch.device(device)):
        assert torch.get_float32_matmul_precision() == within
    with pytest.raises(ValueError, match="step"), tensor_core_products(torch.device(device)):
        raise ValueError("a step that fails")
    assert torch.get_float32_matmul_precision() == before
