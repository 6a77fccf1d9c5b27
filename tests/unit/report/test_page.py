import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from clustered import bare, clustered, described, metrics
from sccicl.errors import InputError
from sccicl.report.page import write_report

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>\'"&'


class Page(HTMLParser):
    """Elements of a page with their attributes, its text, and the data of its samples."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: tuple[str, dict] = ("", {})
        self.elements: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.data: list[dict] = []
        self.genes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open = (tag, dict(attrs))
        self.elements.append(self.open)

    def handle_endtag(self, tag):
        self.open = ("", {})

    def handle_data(self, data):
        tag, attributes = self.open
        if attributes.get("class") == "genes":
            self.genes.append(data)
        elif attributes.get("class") == "data" and data.strip():
            self.data.append(json.loads(data))
        else:
            self.texts.setdefault(tag, []).append(data)

    def all_of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)


def inflated(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def barcodes_of(data: dict) -> list[str]:
    return inflated(data["barcodes"]).decode().split("\n")


def codes_of(colouring: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(colouring["codes"]), "<u2" if colouring["wide"] else "u1")


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
    words = ("0.612", "0.701", "0.689", "0.274", "estimated", "given", "you set", "3 cells without counts were dropped")
    for word in words:
        assert word in page.text
    assert len([a for a in page.all_of("section") if a.get("class") == "sample"]) == 2
    assert page.texts["title"] == ["Two"]


def test_data_are_those_of_the_sample(page):
    adata, data = clustered("first"), page.data[0]
    barcodes = barcodes_of(data)
    assert sorted(barcodes) == sorted(adata.obs_names)
    layout = next(layout for layout in data["layouts"] if layout["name"] == "UMAP")
    low, high = layout["bounds"][:2]
    x = low + np.frombuffer(base64.b64decode(layout["x"]), "<u2") / 65535 * (high - low)
    np.testing.assert_allclose(x, adata[barcodes].obsm["X_umap"][:, 0], atol=(high - low) / 65535)
    cluster, label, batch, confidence = (item for item in data["colourings"][:4])
    assert [cluster["names"][code] for code in codes_of(cluster)] == adata[barcodes].obs["cicl"].tolist()
    assert (label["title"], batch["title"], confidence["title"]) == ("bulk_labels", "sample", "Confidence")
    levels = np.frombuffer(inflated(confidence["z"]), "u1") / 255 * confidence["high"]
    true = adata[barcodes].obs["cicl_confidence"].to_numpy().clip(max=confidence["high"])
    np.testing.assert_allclose(levels, true, atol=confidence["high"] / 255)
    assert np.sum(data["overlap"]["counts"]) == adata.n_obs
    table = pd.crosstab(adata.obs["sample"], adata.obs["cicl"])
    np.testing.assert_array_equal(data["composition"]["counts"], table.loc[data["composition"]["rows"]])
    evidence = data["evidence"]
    assert evidence["chosen"] == 11 and len(evidence["candidates"]) == len(evidence["scores"])


def test_loads_nothing(page):
    for _, attributes in page.elements:
        for name in ("src", "srcset", "action", "data", "poster", "background"):
            assert name not in attributes
    assert all(a["href"].startswith(("data:", "#")) for tag in ("link", "a") for a in page.all_of(tag))
    assert not re.search(r"@import|url\(", "".join(page.texts["style"]))
    policy = next(a["content"] for a in page.all_of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    # the name of SVG's elements, which is no address that is asked
    own = page.texts["script"][-1].replace('"http://www.w3.org/2000/svg"', "")
    assert "class CellMap" in own
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(", own)


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
    assert len(page.all_of("script")) == 4
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.data[0]["id"] == EVIL
    assert EVIL in barcodes_of(page.data[0])
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


def test_the_summary_has_a_line_for_each_sample_and_the_warnings(tmp_path):
    quiet, loud = clustered("quiet"), clustered("loud")
    quiet.uns["cicl"]["warnings"] = ["2 spike-ins of a\x1b[2J\nb.h5ad are left out"]
    loud.uns["cicl"]["warnings"] = [f"reason {number}" for number in range(9)]
    of_metrics = {"warnings": ["trained on the CPU"]}
    samples = [(quiet, metrics(quiet) | of_metrics), (loud, metrics(loud) | {"warnings": []})]
    write_report(samples, tmp_path / "page.html", summary=tmp_path / "summary.txt")
    found = (tmp_path / "summary.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in found[:2]] == ["quiet", "loud"]
    assert found[2:4] == [
        "WARNING: quiet: 2 spike-ins of a\\x1b[2J\\nb.h5ad are left out",
        "WARNING: quiet: trained on the CPU",
    ]
    assert found[4:] == [
        *(f"WARNING: loud: reason {number}" for number in range(4)),
        "WARNING: loud: 5 more warnings are in the report",
    ]


def test_many_cells_are_thinned_and_small_clusters_kept(tmp_path, monkeypatch):
    from sccicl.report import page as module
    from sccicl.report import sample

    monkeypatch.setattr(module, "MAX_POINTS", 300)
    monkeypatch.setattr(sample, "KEPT_PER_CLUSTER", 13)
    adata = clustered()
    page = page_of(write_report([(adata, metrics(adata))], tmp_path / "report.html"))
    cluster = page.data[0]["colourings"][0]
    drawn = np.bincount(codes_of(cluster))
    assert drawn.sum() == len(barcodes_of(page.data[0])) == 300
    assert drawn[10] == cluster["counts"][10] == 13
    assert sum(cluster["counts"]) == 700
    assert "300 of 700 cells are drawn" in page.text


def test_observations(tmp_path):
    adata = clustered(n_cells=350)
    adata.uns["cicl"]["history"]["label_change"][-1] = 0.2
    adata.obs.loc[adata.obs_names[:5], "bulk_labels"] = None
    text = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html")).text
    assert re.search(r"has only \d cells|have fewer than 10 cells", text)
    assert "20% of the pseudo-labels changed in the last epoch" in text
    assert "5 cells have no value in 'bulk_labels'" in text


def test_a_mistake_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="no column 'nothing' in obs"):
        write_report([(clustered(), {"label_col": "nothing"})], tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_same_input_same_page(tmp_path):
    adata = clustered()
    pages = [write_report([(adata, metrics(adata))], tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_evidence_for_the_number_of_clusters_in_words(tmp_path):
    adata = clustered()
    text = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html")).text
    assert "support 9 clusters. Communities of shared-neighbour graphs: 13 and 11." in text
    assert "The estimate is the median of the three counts." in text


@pytest.mark.parametrize(
    ("separable", "told"),
    [(1, "do not separate even two clusters"), (3, "no better than in cells that differ by chance")],
)
def test_no_clusters_found(tmp_path, separable, told):
    adata = clustered()
    adata.obs["cicl"] = pd.Categorical(["0"] * adata.n_obs)
    adata.uns["cicl"]["k"] |= {"n_clusters": 1, "separable": separable}
    del adata.uns["cicl"]["k"]["communities"]
    text = page_of(write_report([(adata, metrics(adata))], tmp_path / "page.html")).text
    assert "no clusters found" in text and told in text and "1 clusters" not in text


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
    for words in (
        "765",
        "42",
        "too few genes",
        "12.5",
        "23 probable doublets flagged and kept",
        "12 genes removed that were detected in too few",
    ):
        assert words in page.text, words
    for words in ("0.95", "0.45", "type 2", "Blood.pkl", "stability below 0.6"):
        assert words in page.text, words
    for words in ("50,000", "at least 512 UMIs", "83%", "4,321", "10XV3", "1,000,000", "95.1%"):
        assert words in page.text, words
    histogram = page.data[0]["histograms"]["genes"]
    assert histogram["lines"] == [900] and histogram["log"]
    assert histogram["series"] == {"kept": [10, 500, 190], "removed": [42, 20, 3]}
    assert page.data[0]["ranks"]["cells"] == 765
    titles = [item["title"] for item in page.data[0]["colourings"]]
    categories = ["Cluster", "CellTypist", "bulk_labels", "4 clusters", "sample"]
    assert titles == [*categories, "Confidence", "Counts", "Genes"]


def test_expression_is_that_of_the_cells(full):
    page, adata = full
    data = page.data[0]
    search, symbols = data["search"], inflated(data["search"]["symbols"]).decode().split("\n")
    assert symbols == list(adata.var_names)
    # all genes: 765 are fewer than the 2,000 most variable ones
    assert sorted(search["stored"]) == list(range(765))
    counts = adata.X / adata.X.sum(1, keepdims=True) * 1e4
    values = pd.DataFrame(np.log1p(counts), index=adata.obs_names, columns=adata.var_names)
    order = barcodes_of(data)
    for place in (0, 39, 764):
        start = search["ends"][place - 1] if place else 0
        top = search["tops"][place]
        levels = np.frombuffer(inflated(page.genes[0][start : search["ends"][place]]), "u1") / 255 * top
        expected = values.loc[order, symbols[search["stored"][place]]].clip(upper=top)
        assert np.allclose(levels, expected, atol=0.51 * top / 63 + 0.51 * top / 255)
    clusters = adata.obs["cicl"]  # in the order of its categories, where 10 comes after 9
    mean, share = (x.groupby(clusters, observed=False).mean().T.to_numpy() for x in (values, values > 0))
    top = np.frombuffer(inflated(search["top"]), "<f4")
    np.testing.assert_allclose(top, mean.max(axis=1), rtol=1e-4)
    found = np.frombuffer(inflated(search["mean"]), "u1").reshape(765, 11) / 255 * top[:, None]
    np.testing.assert_allclose(found, mean, atol=0.51 * top.max() / 255)
    found = np.frombuffer(inflated(search["fraction"]), "u1").reshape(765, 11) / 255
    np.testing.assert_allclose(found, share, atol=0.51 / 255)
    dots = data["genes"]
    assert dots["mean"][3][7] == pytest.approx(
        values.loc[(adata.obs["cicl"] == "3").to_numpy(), dots["symbols"][7]].mean(), rel=1e-3
    )


def test_gene_values_keep_to_their_room(full, tmp_path, monkeypatch):
    """Markers come first; of the genes without values of single cells the means stay."""
    from sccicl.report import page as module

    monkeypatch.setattr(module, "MAX_GENE_BYTES", 60_000)
    monkeypatch.setattr(module, "MIN_GENE_BYTES", 0)
    adata = full[1]
    page = page_of(write_report([(adata, metrics(adata))], tmp_path / "report.html"))
    search = page.data[0]["search"]
    assert len(page.genes[0].strip()) <= 60_000 * 4 / 3 + 4 * len(search["stored"])
    best = adata.uns["cicl"]["markers"]["table"].query("rank == 1")["gene"]
    assert 10 < len(search["stored"]) < 765
    assert set(adata.var_names.get_indexer(best)) <= set(search["stored"])
    assert len(np.frombuffer(inflated(search["mean"]), "u1")) == 765 * 11
