import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from clustered import bare, clustered, described, metrics
from sccicl.clustering.n_clusters import SAME_AGREEMENT
from sccicl.config import PRESETS
from sccicl.errors import InputError
from sccicl.report.methods_text import methods_text, references
from sccicl.report.page import write_report
from sccicl.report.sample import read_sample

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>\'"&'


class Page(HTMLParser):
    """Elements of a page with their attributes, its text, and the data of its samples."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: tuple[str, dict] = ("", {})
        self.elements: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.data: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open = (tag, dict(attrs))
        self.elements.append(self.open)

    def handle_endtag(self, tag):
        self.open = ("", {})

    def handle_data(self, data):
        tag, attributes = self.open
        if attributes.get("type") == "application/json" and data.strip():
            self.data.append(json.loads(data))
        else:
            self.texts.setdefault(tag, []).append(data)

    def all_of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)


def page_of(path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    adata, other = clustered("first"), clustered("second", n_cells=350)
    given = metrics(other, labels=False) | {"k_given": True}
    return page_of(
        write_report([(adata, metrics(adata)), (other, given)], tmp_path_factory.mktemp("report") / "page.html", "Two")
    )


def test_says_what_was_found(page):
    assert [data["id"] for data in page.data] == ["first", "second"]
    for words in ("0.612", "0.701", "0.689", "0.274", "estimated", "given", "3 cells without counts were dropped"):
        assert words in page.text
    assert len([a for a in page.all_of("section") if a.get("class") == "sample"]) == 2
    assert page.texts["title"] == ["Two"]


def test_data_are_those_of_the_sample(page):
    adata, data = clustered("first"), page.data[0]
    barcodes = data["barcodes"].split("\n")
    assert sorted(barcodes) == sorted(adata.obs_names)
    x = np.frombuffer(base64.b64decode(data["layouts"]["UMAP"][0]), "<f4")
    np.testing.assert_array_equal(x, adata[barcodes].obsm["X_umap"][:, 0])
    cluster, label, confidence, batch = data["colourings"]
    codes = np.frombuffer(base64.b64decode(cluster["codes"]), "<i4")
    assert [cluster["names"][code] for code in codes] == adata[barcodes].obs["cicl"].tolist()
    assert (label["title"], confidence["title"], batch["title"]) == ("bulk_labels", "Confidence", "sample")
    assert np.sum(data["overlap"]["counts"]) == adata.n_obs
    evidence = data["evidence"]
    assert evidence["chosen"] == 11 == evidence["compared"][int(np.argmax(evidence["agreement"]))]


def test_loads_nothing(page):
    for _, attributes in page.elements:
        for name in ("src", "srcset", "action", "data", "poster", "background"):
            assert name not in attributes
    assert all(a["href"].startswith(("data:", "#")) for tag in ("link", "a") for a in page.all_of(tag))
    assert not re.search(r"@import|url\(", "".join(page.texts["style"]))
    policy = next(a["content"] for a in page.all_of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    own = page.texts["script"][-1]
    assert "hasWebGL" in own
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(", own)


def test_one_copy_of_plotly(page):
    assert sum("plotly.js v" in text[:200] for text in page.texts["script"]) == 1


def test_names_are_harmless(tmp_path):
    adata = clustered(EVIL)
    adata.obs[EVIL] = np.where(np.arange(adata.n_obs) % 2, EVIL, "plain")
    adata.obs_names = [EVIL, *adata.obs_names[1:]]
    adata.uns["cicl"]["warnings"] = [EVIL]
    adata.uns["cicl"]["params"][EVIL] = EVIL
    adata.uns["cicl"]["k"]["criterion"] = EVIL
    hostile = metrics(adata) | {"label_col": EVIL, "device": EVIL, "versions": {"torch": EVIL}}
    path = write_report([(adata, hostile)], tmp_path / "page.html", EVIL)
    page = page_of(path)
    assert page.all_of("img") == []
    assert len(page.all_of("script")) == 3
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.data[0]["id"] == EVIL
    assert EVIL in page.data[0]["barcodes"]
    assert "".join(page.texts["h1"]).startswith(EVIL)


@pytest.mark.parametrize(
    "missing",
    ["X_umap", "X_tsne", "cicl_confidence", "bulk_labels", "sample", "history", "k", "params", "stages", "versions"],
)
def test_something_missing(tmp_path, missing):
    adata = clustered()
    given = metrics(adata)
    if missing in adata.obsm:
        del adata.obsm[missing]
    elif missing in adata.obs:
        del adata.obs[missing]
    else:
        del adata.uns["cicl"][missing]
    if missing == "bulk_labels":
        del given["label_col"]
    data = page_of(write_report([(adata, given)], tmp_path / "page.html")).data[0]
    assert len(data["layouts"]) == 2 - missing.startswith("X_")
    assert (data["evidence"] is None) == (missing == "k")
    assert bool(data["history"]) == (missing != "history")
    assert (data["overlap"] is None) == (missing == "bulk_labels")


def test_only_clusters(tmp_path):
    page = page_of(write_report([(bare(clustered()), {})], tmp_path / "page.html"))
    assert page.data[0]["colourings"][0]["names"] == [str(i) for i in range(11)]
    assert "None" not in page.text
    assert "nan" not in page.text


def test_null_scores_and_values_not_finite(tmp_path):
    adata = clustered()
    adata.uns["cicl"]["history"]["label_change"][0] = np.nan
    given = metrics(adata) | {"ari": None, "nmi": None, "ami": None, "silhouette": None}
    page = page_of(write_report([(adata, given)], tmp_path / "page.html"))
    assert page.data[0]["history"]["label_change"][0] is None
    assert "None" not in page.text


def test_files_are_read(tmp_path):
    adata = clustered("from_file")
    adata.write_h5ad(tmp_path / "from_file.h5ad")
    page = page_of(write_report([(tmp_path / "from_file.h5ad", metrics(adata))], tmp_path / "page.html"))
    assert page.data[0]["id"] == "from_file"


def test_many_cells_are_thinned_and_small_clusters_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("sccicl.report.page.MAX_POINTS", 300)
    monkeypatch.setattr("sccicl.report.page_data.KEPT_PER_CLUSTER", 13)
    adata = clustered()
    page = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html"))
    cluster = page.data[0]["colourings"][0]
    drawn = np.bincount(np.frombuffer(base64.b64decode(cluster["codes"]), "<i4"))
    assert drawn.sum() == len(page.data[0]["barcodes"].split("\n")) == 300
    assert drawn[10] == cluster["counts"][10] == 13
    assert sum(cluster["counts"]) == 700
    assert "300 of 700 cells are drawn" in page.text


def test_observations(tmp_path):
    adata = clustered(n_cells=350)
    adata.uns["cicl"]["history"]["label_change"][-1] = 0.2
    adata.obs.loc[adata.obs_names[:5], "bulk_labels"] = None
    text = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html")).text
    assert "fewer than 10 cells" in text
    assert "20% of the pseudo-labels still changed" in text
    assert "5 cells have no value in 'bulk_labels'" in text


def test_a_mistake_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="no column 'nothing' in obs"):
        write_report([(clustered(), {"label_col": "nothing"})], tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_same_input_same_page(tmp_path):
    adata = clustered()
    pages = [write_report([(adata, metrics(adata))], tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_methods_paragraph():
    first, second = clustered("a"), clustered("b")
    second.uns["cicl"]["params"]["epochs"] = 7
    text = methods_text([read_sample(first, metrics(first)), read_sample(second, metrics(second))])
    assert "version 0.1.0, using PyTorch 2.10.0" in text
    assert "500 most variable genes" in text
    assert "0.1 times a cluster-aware" in text
    assert "geometric mean of the number of clusters that held-out genes separate" in text
    # a number in which the samples differ is not stated for all
    assert "epochs" not in text
    assert methods_text([]) == ""
    assert "K-means" in methods_text([read_sample(bare(first))])


@pytest.mark.parametrize(
    ("preset", "told", "untold"),
    [
        (
            "paper",
            ["adding Gaussian noise mapped to [0, 1]", "K-means of each minibatch"],
            ["first pseudo-labels", "Khosla"],
        ),
        (
            "default",
            [
                "500 most variable genes (by Cell Ranger's dispersion)",
                "clipped at 10 standard deviations",
                "setting a random 60% of its genes to their mean, the second one from a random one of its 5 nearest",
                "8 encoders of the same form were first trained by the instance-wise loss alone",
                "of 2 layers that starts as the principal components was trained for 50 epochs",
                "0.1 times an instance-wise contrastive loss plus a cluster-aware",
                "supervised contrastive learning (Khosla et al. 2020), both at temperature 0.5",
                "by K-means from the centroids of the last pseudo-labels",
            ],
            ["mapped to [0, 1]"],
        ),
    ],
)
def test_methods_paragraph_is_true_to_the_preset(preset, told, untold):
    adata = clustered()
    config = PRESETS[preset]
    adata.uns["cicl"]["params"] = config.as_dict()
    for name in ("gene_selection", "max_value"):
        if getattr(config, name) is not None:
            adata.uns["cicl"]["prepare"][name] = getattr(config, name)
    result = read_sample(adata, metrics(adata))
    text, works = methods_text([result]), " ".join(references([result]))
    assert [part for part in told if part not in text] == [] and not any(part in text for part in untold)
    assert ("Supervised contrastive" in works) == ("Hierarchical grouping" in works) == (preset == "default")
    assert "Leiden" in works


def test_evidence_for_the_number_of_clusters_in_words(tmp_path):
    adata = clustered()
    text = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html")).text
    assert "separate 9 clusters, the graph of shared neighbours has 13 communities" in text
    assert (
        f"of 8 to 14 clusters, different embeddings of the cells are cut most alike, to within {SAME_AGREEMENT}" in text
    )
    assert "best" not in text


@pytest.mark.parametrize(("separable", "told"), [(1, "no two clusters"), (3, "no better than those of cells that dif")])
def test_no_clusters_found(tmp_path, separable, told):
    adata = clustered()
    adata.obs["cicl"] = pd.Categorical(["0"] * adata.n_obs)
    adata.uns["cicl"]["k"] |= {"n_clusters": 1, "separable": separable}
    for name in ("communities", "compared", "agreement"):
        del adata.uns["cicl"]["k"][name]
    text = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html")).text
    assert "no clusters found" in text and told in text and "1 clusters" not in text


def test_methods_paragraph_is_true_to_the_preparation():
    adata = clustered()
    adata.uns["cicl"]["prepare"] |= {"n_genes": adata.n_vars, "input_kind": "normalised", "gene_selection": "seurat"}
    text = methods_text([read_sample(adata, metrics(adata))])
    assert (
        "Normalised values were scaled to the same sum in every cell and log-transformed, all genes were kept" in text
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The page of a sample with all that later steps add, read from its file, and the sample."""
    folder = tmp_path_factory.mktemp("full")
    adata = described(clustered("full"))
    adata.write_h5ad(folder / "full.h5ad")
    page = page_of(write_report([(folder / "full.h5ad", metrics(adata))], folder / "page.html"))
    return page, adata


def test_quality_control_stability_and_cell_types(full):
    page, _ = full
    for words in ("765", "42", "too few genes", "12.5", "23 look like doublets", "12 genes found in too few cells"):
        assert words in page.text, words
    for words in ("0.95", "0.45", "type 2", "Blood.pkl", "stability below 0.6"):
        assert words in page.text, words
    for words in ("50,000", "from 512 UMIs on", "83%", "4,321", "10XV3", "1,000,000", "95.1%"):
        assert words in page.text, words
    histogram = page.data[0]["histograms"]["genes"]
    assert histogram["lines"] == [900] and histogram["log"]
    assert histogram["series"] == {"kept": [10, 500, 190], "removed": [42, 20, 3]}
    assert page.data[0]["ranks"]["cells"] == 765
    titles = [item["title"] for item in page.data[0]["colourings"]]
    assert titles == ["Cluster", "CellTypist", "bulk_labels", "Confidence", "4 clusters", "sample"]


def test_expression_of_markers_is_that_of_the_cells(full):
    page, adata = full
    genes, data = page.data[0]["genes"], page.data[0]
    symbols = [genes["symbols"][place] for place in genes["coloured"]]
    assert len(symbols) == 40
    counts = adata.X / adata.X.sum(1, keepdims=True) * 1e4
    values = pd.DataFrame(np.log1p(counts), index=adata.obs_names, columns=adata.var_names)
    order = data["barcodes"].split("\n")
    for place in (0, 39):
        levels = np.frombuffer(base64.b64decode(genes["levels"][place]), "u1") / 255 * genes["top"][place]
        expected = values.loc[order, symbols[place]].clip(upper=genes["top"][place])
        assert np.allclose(levels, expected, atol=genes["top"][place] / 255)
    inside = adata.obs["cicl"] == "3"
    column = values.loc[inside.to_numpy(), genes["symbols"][7]]
    assert genes["mean"][3][7] == pytest.approx(column.mean(), rel=1e-3)
    assert genes["fraction"][3][7] == pytest.approx((column > 0).mean(), rel=1e-3)


def test_methods_tell_of_markers_and_cell_types(full):
    result = read_sample(full[1])
    text = methods_text([result])
    assert (
        "Wilcoxon rank-sum test" in text and "CellTypist 1.7.1 (Dominguez Conde et al. 2022; model Blood.pkl)" in text
    )
    assert any("eabl5197" in work for work in references([result]))
    assert "Wilcoxon" not in methods_text([read_sample(clustered())])
