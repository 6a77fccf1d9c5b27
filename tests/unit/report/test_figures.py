import itertools

import numpy as np
import pytest
from clustered import bare, clustered, metrics
from PIL import Image
from sccicl.downstream.palette import PALETTE, colours, matched_colours
from sccicl.errors import InputError
from sccicl.report.figures import plot_sample
from sccicl.report.sample import read_sample

ALL = {"pbmc.umap.png", "pbmc.tsne.png", "pbmc.training.png", "pbmc.sizes.png"}
# Machado et al. 2009, full deficiency, on linear RGB
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def seen(colour: str, vision: str) -> np.ndarray:
    """OKLab coordinates of a colour as it is seen."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_lms = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ linear)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("n", "least"), [(12, 0.07), (40, 0.045)])
def test_palette_can_be_told_apart(vision, n, least):
    points = [seen(colour, vision) for colour in PALETTE[:n]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) > least


def test_palette_goes_round():
    assert len(set(PALETTE)) == 40
    assert colours(41)[40] == colours(1)[0]


def test_labels_look_like_their_clusters():
    overlap = np.array([[1, 30, 0, 0], [20, 0, 3, 0]])
    shades = matched_colours(overlap)
    assert shades[:2] == [PALETTE[1], PALETTE[0]]
    assert not {shades[2], shades[3]} & {PALETTE[0], PALETTE[1]}
    # a label that shares no cell with the cluster that is left over is not coloured like it
    assert matched_colours(np.array([[5, 0], [0, 0]]))[1] == PALETTE[2]


def test_all_figures(tmp_path):
    adata = clustered()
    written = plot_sample(adata, tmp_path, "pbmc", "bulk_labels", "sample", metrics(adata))
    assert {path.name for path in written} == ALL == {path.name for path in tmp_path.iterdir()}
    for path in written:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 400
            assert len(image.convert("RGB").getcolors(1 << 24)) > 50


def test_only_clusters(tmp_path):
    assert [path.name for path in plot_sample(bare(clustered()), tmp_path, "pbmc")] == ["pbmc.sizes.png"]


@pytest.mark.parametrize("missing", ["cicl_confidence", "bulk_labels", "sample"])
def test_a_column_missing(tmp_path, missing):
    adata = clustered()
    del adata.obs[missing]
    label = "bulk_labels" if missing != "bulk_labels" else None
    assert {path.name for path in plot_sample(adata, tmp_path, "pbmc", label)} == ALL


@pytest.mark.parametrize("missing", ["history", "k"])
def test_an_entry_missing(tmp_path, missing):
    adata = clustered()
    del adata.uns["cicl"][missing]
    names = {path.name for path in plot_sample(adata, tmp_path, "pbmc")}
    assert names == (ALL - {"pbmc.training.png"} if missing == "history" else ALL)


@pytest.mark.filterwarnings("error")
def test_odd_names_missing_labels_and_many_categories(tmp_path):
    adata = clustered("$sample_1^")
    names = np.array([f"_{i} $x^{i}$ <b>" for i in range(60)])
    adata.obs["label"] = names[np.arange(adata.n_obs) % 60]
    adata.obs.loc[adata.obs_names[:9], "label"] = None
    plot_sample(adata, tmp_path, "$sample_1^", label_col="label")


def test_unknown_column(tmp_path):
    with pytest.raises(InputError, match="no column 'nothing' in obs"):
        plot_sample(clustered(), tmp_path, "pbmc", "nothing")
    assert not list(tmp_path.iterdir())


def test_no_clusters(tmp_path):
    adata = clustered()
    del adata.obs["cicl"]
    with pytest.raises(InputError, match="has no clusters"):
        plot_sample(adata, tmp_path, "pbmc")


def test_labels_of_any_type(tmp_path):
    adata = clustered()
    adata.obs["number"] = np.arange(adata.n_obs) % 4
    adata.obs["flag"] = np.arange(adata.n_obs) % 2 == 0
    assert {path.name for path in plot_sample(adata, tmp_path, "pbmc", "number", "flag")} == ALL


def test_colour_scale_fits_the_confidence():
    adata = clustered()
    adata.obs["cicl_confidence"] = np.linspace(0, 0.17, adata.n_obs)
    assert read_sample(adata).top_confidence == pytest.approx(0.2)
    assert read_sample(bare(adata)).top_confidence == 1


def test_one_batch_is_no_batch():
    adata = clustered()
    adata.obs["sample"] = "donor 1"
    assert read_sample(adata, batch_col="sample").batches is None
