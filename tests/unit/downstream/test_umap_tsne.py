import numpy as np
import pytest
from sccicl.downstream import umap_tsne
from sccicl.downstream.umap_tsne import tsne, umap
from sklearn.metrics import silhouette_score

METHODS = pytest.mark.parametrize("method", [umap, tsne])


def groups(n: int = 120, features: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    types = np.arange(n) % 3
    return (rng.normal(size=(3, features)) * 6)[types] + rng.normal(size=(n, features)), types


@METHODS
def test_separates_groups_and_repeats_by_seed(method):
    embedding, types = groups()
    first, again, other = method(embedding, 1), method(embedding, 1), method(embedding + 1e-3, 2)
    assert first.shape == (120, 2)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert silhouette_score(first, types) > 0.5


@METHODS
@pytest.mark.parametrize(
    "embedding",
    [
        groups(10)[0],
        groups(3)[0],
        groups(20, 120)[0],
        groups(12, 1)[0],
        np.zeros((12, 5)),
    ],
    ids=["ten cells", "three cells", "wider than 50", "one column", "all cells alike"],
)
def test_small_and_degenerate(method, embedding):
    xy = method(embedding, 0)
    assert xy.shape == (len(embedding), 2)
    assert np.isfinite(xy).all()


@METHODS
def test_not_finite(method):
    with pytest.raises(ValueError, match="finite"):
        method(np.array([[1.0, np.nan]] * 12), 0)


def test_tsne_is_left_out_above_the_limit(monkeypatch):
    monkeypatch.setattr(umap_tsne, "TSNE_MAX_CELLS", 11)
    with pytest.warns(UserWarning, match="t-SNE was skipped"):
        assert tsne(groups(12)[0]) is None
