"""Whether the length of a cell's vector says anything of its type."""

import numpy as np
import pytest
from sccicl.clustering.distance import MEANINGFUL, NOISY, length_noise, measures

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), 250)


def cells(log_length):
    """Cells of these lengths in random directions."""
    direction = RNG.normal(size=(len(log_length), 10))
    return np.exp(log_length)[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)


@pytest.mark.parametrize(("between", "within"), [(1.0, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 1.0)])
def test_noise_is_the_share_within_clusters(between, within):
    # Four clusters at -1.5, -0.5, 0.5, 1.5 have a variance of 1.25
    log_length = between * (LABELS - 1.5) + within * RNG.normal(size=1000)
    expected = within**2 / (1.25 * between**2 + within**2)
    assert length_noise(cells(log_length), LABELS) == pytest.approx(expected, abs=0.03)


def test_what_depth_explains_is_noise_even_where_clusters_differ_in_depth():
    depth = LABELS + 0.3 * RNG.normal(size=1000)
    h = cells(depth)
    assert length_noise(h, LABELS) < 0.1
    assert length_noise(h, LABELS, depth) > 0.95


def test_depth_that_explains_nothing_changes_nothing():
    h = cells(LABELS + RNG.normal(size=1000))
    assert length_noise(h, LABELS, RNG.normal(size=1000)) == pytest.approx(length_noise(h, LABELS), abs=0.01)


def test_equal_lengths_are_noise():
    assert length_noise(cells(np.zeros(1000)), LABELS) == 1
    assert length_noise(np.zeros((1000, 3)), LABELS, RNG.normal(size=1000)) == 1


def test_measures_on_both_sides_of_a_half():
    assert measures(0.49) == MEANINGFUL and measures(0.51) == NOISY
    assert max(MEANINGFUL) < 0.5 < min(NOISY)
