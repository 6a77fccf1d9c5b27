import numpy as np
import pytest
from sccicl.clustering.stability import best_jaccard, bootstrap_stability
from sklearn.metrics import jaccard_score


def test_jaccard_as_scikit_learn():
    rng = np.random.default_rng(0)
    labels, others = rng.integers(0, 4, 200), rng.integers(0, 6, 200)
    expected = [max(jaccard_score(labels == i, others == j) for j in range(6)) for i in range(4)]
    assert best_jaccard(labels, others, 4) == pytest.approx(expected)
    assert np.isnan(best_jaccard(labels, others, 5)[4])


def test_types_are_stable_and_a_split_of_one_type_is_not():
    rng = np.random.default_rng(1)
    centres = np.array([[0, 0], [30, 0], [0, 30], [30, 30]])
    truth = np.repeat(np.arange(4), [40, 100, 300, 60])
    x = (centres[truth] + rng.normal(size=(500, 2))).astype(np.float32)
    assert bootstrap_stability(x, truth) == pytest.approx(np.ones(4))
    # The big type is cut in two at random, and the two smallest are one.
    wrong = truth.copy()
    wrong[truth == 3] = 0
    wrong[truth == 2] = np.where(rng.random(300) < 0.5, 2, 3)
    stability = bootstrap_stability(x, wrong)
    assert stability[1] == pytest.approx(1)
    assert (stability[[2, 3]] < 0.6).all()


def test_one_cluster_is_stable():
    x = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    assert bootstrap_stability(x, np.zeros(50, dtype=int)) == pytest.approx([1])
