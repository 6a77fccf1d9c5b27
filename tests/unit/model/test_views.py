"""Views: distribution, range and share of what is changed."""

import pytest
import torch
from sccicl.model.views import mask, noise, unit_noise


@pytest.fixture
def x():
    return torch.randn(200, 50, generator=torch.Generator().manual_seed(0))


def test_unit_noise_spans_zero_to_one_and_is_drawn_anew(x):
    generator = torch.Generator().manual_seed(1)
    first, second = unit_noise(x, generator) - x, unit_noise(x, generator) - x
    assert first.min() == pytest.approx(0, abs=1e-6) and first.max() == pytest.approx(1, abs=1e-6)
    assert not torch.equal(first, second)
    # A linear map keeps the shape of the Gaussian: no skew, kurtosis 3.
    z = (first - first.mean()) / first.std()
    assert z.pow(3).mean().abs() < 0.1 and z.pow(4).mean() == pytest.approx(3, abs=0.3)


def test_noise_has_its_sd_on_its_fraction(x):
    e = noise(x, torch.Generator().manual_seed(2), sd=0.5, fraction=0.8) - x
    changed = e != 0
    assert changed.float().mean() == pytest.approx(0.8, abs=0.02)
    assert e[changed].std() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("fraction", [0.0, 0.6, 1.0])
def test_mask_keeps_the_rest(x, fraction):
    view = mask(x, torch.Generator().manual_seed(3), fraction=fraction)
    kept = view != 0
    assert kept.float().mean() == pytest.approx(1 - fraction, abs=0.02)
    assert torch.equal(view[kept], x[kept])
