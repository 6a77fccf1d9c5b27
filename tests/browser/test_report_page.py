"""The report as a reader meets it: drawn, quiet, answering to mouse and keyboard, asking the network for nothing."""

# ruff: noqa: E501 - JavaScript in one line

import os
import zlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from chromium import Page, find_chromium
from clustered import clustered, described, metrics
from drawn import MAP, alone, barcodes_of, codes_of, data_of, pixels, places, rgb, without_names
from matplotlib.image import imread
from sccicl.downstream.palette import GROUNDS, PALETTE, contrast, readable_colours
from sccicl.report.page import write_report
from scipy import stats

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
EVIL = '<script>window.hurt=1</script><img src=x onerror="window.hurt=1"> & \'"'
AXE = Path(__file__).parents[2] / ".tools/axe/node_modules/axe-core/axe.min.js"


def choose(page, what: str, value: str) -> None:
    page.run(f"document.querySelector('input[name=sample-0-{what}][value=\"{value}\"]').click()")


def colour_by(page, title: str) -> None:
    titles = [item["title"] for item in data_of(page)["colourings"]]
    choose(page, "colour", str(titles.index(title)))


def images_of(pdf: Path) -> list[bytes]:
    """Bytes of the pixels of every image in a PDF that Chromium wrote; masks of transparency are left out."""
    found = []
    for head, _, data in (part.partition(b"stream\n") for part in pdf.read_bytes().split(b"endstream")):
        about = head[head.rfind(b" obj") :]
        if b"/Subtype /Image" in about and b"/DeviceGray" not in about:
            found.append(zlib.decompress(data))
    return found


def search_gene(page, gene: str) -> None:
    page.run("(() => { const i = document.querySelector('.search input'); i.value = ''; i.focus(); })()")
    page.type(gene)
    page.press("Enter", 13)
    page.wait(f"document.querySelector('.map-legend').textContent.includes('{gene}')")


def log_normalised(adata) -> pd.DataFrame:
    counts = np.asarray(adata.X, dtype=float)
    return pd.DataFrame(
        np.log1p(counts / counts.sum(1, keepdims=True) * 1e4), index=adata.obs_names, columns=adata.var_names
    )


def go_to(page, selector: str) -> None:
    page.run(f"void document.querySelector('{selector}').scrollIntoView({{behavior: 'instant', block: 'center'}})")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    first, second = clustered(EVIL), clustered("second", n_cells=350)
    first.obs["bulk_labels"] = first.obs["bulk_labels"].replace("Dendritic", EVIL)
    first.uns["cicl"]["k"]["criterion"] = EVIL
    return write_report(
        [(first, metrics(first)), (second, metrics(second, labels=False))],
        tmp_path_factory.mktemp("page") / "report.html",
        EVIL,
    )


@pytest.fixture(scope="module")
def page(report):
    with Page() as page:
        page.open(report)
        page.wait(f"{MAP}.dataset.drawn")
        without_names(page)
        yield page


@pytest.fixture(scope="module")
def sample():
    """A sample with all that later steps add."""
    adata = described(clustered("full"))
    adata.obs["cicl_qc_mito"] = np.random.default_rng(0).uniform(0, 9, adata.n_obs)
    return adata


@pytest.fixture(scope="module")
def full_report(sample, tmp_path_factory):
    return write_report([(sample, metrics(sample))], tmp_path_factory.mktemp("full") / "report.html")


@pytest.fixture(scope="module")
def full(full_report):
    with Page() as page:
        page.open(full_report)
        page.wait(f"{MAP}.dataset.drawn")
        without_names(page)
        yield page


@pytest.fixture(autouse=True)
def quiet(request):
    yield
    for name in ("page", "full"):
        if name in request.fixturenames:
            opened = request.getfixturevalue(name)
            assert opened.errors == []
            assert opened.run("window.hurt") is None
            assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_every_chart_is_drawn(full):
    full.run("document.querySelectorAll('details').forEach(item => { item.open = true; })")
    for i in range(full.run("document.querySelectorAll('[data-plot]').length")):
        plot = f"document.querySelectorAll('[data-plot]')[{i}]"
        full.run(f"void {plot}.scrollIntoView({{behavior: 'instant'}})")
        full.wait(f"{plot}.querySelector('svg :is(circle, rect, path), canvas') !== null")
        full.wait(f"{plot}.dataset.drawn === 'yes'")
        assert full.run(f"{plot}.textContent.includes('could not')") is False
    full.run("document.querySelectorAll('details').forEach(item => { item.open = false; })")


def test_cells_have_the_colours_of_their_clusters(page):
    data = data_of(page)
    at = places(page, data["layouts"][0])
    free, readable = alone(at), readable_colours("light")
    for title, n in (("Cluster", 11), ("bulk_labels", 10), ("sample", 2), ("Cluster", 11)):
        colour_by(page, title)
        item = next(item for item in data["colourings"] if item["title"] == title)
        expected = np.array([rgb(readable.get(c, c)) for c in item["colours"]])[codes_of(item)]
        seen = pixels(page, at)
        assert np.abs(seen[free] - expected[free]).max() <= 12, title
        assert (
            len(np.unique(expected, axis=0)) == n == page.run("document.querySelector('.map-legend').children.length")
        )
    legend = page.run(
        "[...document.querySelectorAll('.map-legend .dot')].map(dot => getComputedStyle(dot).backgroundColor)"
    )
    assert legend == [
        f"rgb({r}, {g}, {b})" for r, g, b in (rgb(readable.get(c, c)) for c in data["colourings"][0]["colours"])
    ]


def test_names_on_the_map_follow_the_colouring(page):
    page.run(
        "(() => { window.written = []; const own = CanvasRenderingContext2D.prototype.fillText;"
        "CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) { window.written.push(text); own.call(this, text, ...rest); }; })()"
    )
    page.run("document.querySelector('.labels').click()")
    for title, some in (("bulk_labels", "CD19+ B"), ("Cluster", "10")):
        page.run("void (window.written = [])")
        colour_by(page, title)
        pixels(page, np.zeros((1, 2)))
        names = next(item for item in data_of(page)["colourings"] if item["title"] == title)["names"]
        written = set(page.run("window.written"))
        assert some in written and written <= {name[:23] + "…" if len(name) > 24 else name for name in names}
    page.run("void (window.written = [])")
    page.run("document.querySelector('.labels').click()")
    pixels(page, np.zeros((1, 2)))
    assert page.run("window.written") == []


def test_layout(page):
    data = data_of(page)
    item = data["colourings"][0]
    colours = np.array([rgb(readable_colours("light").get(c, c)) for c in item["colours"]])[codes_of(item)]
    for layout in data["layouts"][::-1]:
        choose(page, "layout", layout["name"])
        at = places(page, layout)
        seen = pixels(page, at)
        assert (np.abs(seen - colours)[alone(at)].max(axis=1) <= 12).mean() > 0.97, layout["name"]
        assert "exaggerates gaps" in page.run("document.querySelector('.layout-note').textContent")


def test_highlighting(page):
    data = data_of(page)
    at, codes = places(page, data["layouts"][0]), codes_of(data["colourings"][0])
    before = pixels(page, at)
    page.run("document.querySelector('.map-legend button').click()")
    seen, free = pixels(page, at), alone(at)
    faint = rgb(page.run("getComputedStyle(document.documentElement).getPropertyValue('--faint').trim()"))
    assert np.abs(seen[free & (codes != 0)] - faint).max() <= 12
    assert np.array_equal(seen[free & (codes == 0)], before[free & (codes == 0)])
    assert page.run("document.querySelector('.map-legend button').getAttribute('aria-pressed')") == "true"
    page.run("document.querySelector('.map-legend button').click()")
    assert np.array_equal(pixels(page, at), before)


def test_keyboard(page):
    page.run("document.querySelector('input[name=sample-0-layout]:checked').focus()")
    page.press("ArrowRight", 39)
    page.wait("document.querySelector('input[name=sample-0-layout]:checked').value === 't-SNE'")
    page.press("ArrowLeft", 37)
    page.wait("document.querySelector('input[name=sample-0-layout]:checked').value === 'UMAP'")
    page.run("document.querySelector('.map-legend button').focus()")
    page.press(" ", 32)
    page.wait("document.querySelector('.map-legend button').getAttribute('aria-pressed') === 'true'")
    # the legend is made anew, and the reader must not lose the place
    assert page.run("document.activeElement.dataset.code") == "0"
    page.press(" ", 32)
    page.wait("document.querySelector('.map-legend button').getAttribute('aria-pressed') === 'false'")
    before = pixels(page, places(page, data_of(page)["layouts"][0]))
    page.run("document.querySelector('canvas.over').focus()")
    page.press("+", 187)
    at = places(page, data_of(page)["layouts"][0])
    assert not np.array_equal(pixels(page, at), before)
    page.press("0", 48)
    assert np.array_equal(pixels(page, at), before)


def test_zoom_outlives_scrolling(page):
    at = places(page, data_of(page)["layouts"][0])
    page.run("document.querySelector('[data-tool=in]').click()")
    zoomed = pixels(page, at)
    page.run("window.scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    page.run("new Promise(done => setTimeout(done, 300))")
    go_to(page, "[data-plot=cells]")
    assert np.array_equal(pixels(page, at), zoomed)
    page.run("document.querySelector('[data-tool=reset]').click()")
    assert not np.array_equal(pixels(page, at), zoomed)


def test_names_are_shown_as_they_are(page):
    assert page.run("document.querySelector('h1').textContent") == EVIL
    data = data_of(page)
    at = places(page, data["layouts"][0])
    labels = next(item for item in data["colourings"] if item["title"] == "bulk_labels")
    cell = int(np.flatnonzero((codes_of(labels) == labels["names"].index(EVIL)) & alone(at))[0])
    go_to(page, "[data-plot=cells]")
    box = page.run(f"(() => {{ const r = {MAP}.getBoundingClientRect(); return [r.left, r.top]; }})()")
    page.mouse("mouseMoved", box[0] + at[cell, 0], box[1] + at[cell, 1])
    page.wait("!document.querySelector('.tip').hidden")
    told = page.run("document.querySelector('.tip').textContent")
    assert barcodes_of(data)[cell] in told and "<script>" in told and "Confidence: " in told
    assert page.run("document.querySelectorAll('.tip script, .tip img').length") == 0


def test_every_control_has_a_name(page):
    named = "e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label')"
    controls = "[...document.querySelectorAll('input, select, button')].filter(e => !e.hidden)"
    assert page.run(f"{controls}.filter(e => !({named})).map(e => e.outerHTML.slice(0, 99))") == []


def test_links_lead_to_the_samples(page):
    page.run("document.querySelector('nav a[href=\"#sample-1\"]').focus()")
    page.press("Enter", 13)
    page.wait("document.querySelector('nav a[aria-current]')?.textContent === 'second'")
    # the next step of the keyboard is within that sample
    page.press("Tab", 9)
    assert page.run("document.activeElement.closest('section')?.id") == "sample-1"
    page.run("window.scrollTo({top: 0, behavior: 'instant'})")


@pytest.mark.parametrize("n_cells", [700, pytest.param(3_000, marks=pytest.mark.slow), 20_000])
def test_cells_have_the_colours_of_a_gene(tmp_path, n_cells):
    """Of two genes one after another, and each as it is on a fresh page: brightness follows the true expression."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 6, n_cells)
    mean = np.full((6, 30), 0.3)
    mean[np.arange(30) % 6, np.arange(30)] = 6
    adata = anndata.AnnData(rng.poisson(mean[codes]).astype(np.float32))
    adata.obs["cicl"] = pd.Categorical.from_codes(codes, [str(i) for i in range(6)])
    adata.var_names = [f"GENE{i}" for i in range(30)]
    adata.obsm["X_umap"] = rng.uniform(-10, 10, (n_cells, 2))
    path = write_report([(adata, {})], tmp_path / "report.html")
    values, seen = log_normalised(adata), {}
    with Page(1400, 1000) as page:
        page.open(path)
        without_names(page)
        data = data_of(page)
        at, order = places(page, data["layouts"][0]), barcodes_of(data)
        free = alone(at, {700: 3.6, 3_000: 2.6, 20_000: 1.9}[n_cells])
        assert free.sum() > 100
        for gene in ("GENE3", "GENE4"):
            search_gene(page, gene)
            seen[gene] = pixels(page, at)
            brightness = seen[gene][free] @ [0.2126, 0.7152, 0.0722]
            assert stats.spearmanr(values.loc[order, gene].to_numpy()[free], brightness)[0] < -0.95, gene
        assert not np.array_equal(seen["GENE3"], seen["GENE4"])
        assert page.errors == []
    with Page(1400, 1000) as page:
        page.open(path)
        without_names(page)
        search_gene(page, "GENE4")
        assert np.array_equal(pixels(page, at), seen["GENE4"])


def test_search_offers_genes_that_are_there(full, sample):
    page = full
    go_to(page, ".search input")
    page.run("(() => { const i = document.querySelector('.search input'); i.value = ''; i.focus(); })()")
    page.type("cd3")
    page.wait("document.querySelectorAll('[role=option]').length > 0")
    offered = page.run("[...document.querySelectorAll('[role=option]')].map(item => item.textContent)")
    assert (
        "CD3D" in offered and all("cd3" in name.lower() for name in offered) and set(offered) <= set(sample.var_names)
    )
    page.press("ArrowDown", 40)
    page.press("Enter", 13)
    page.wait(f"document.querySelector('.map-legend').textContent.includes('{offered[0]}')")
    assert page.run("document.querySelectorAll('.distribution svg .median').length") == 11
    page.run("(() => { const i = document.querySelector('.search input'); i.value = ''; i.focus(); })()")
    page.type("NOSUCHGENE")
    page.press("Enter", 13)
    page.wait("document.querySelector('.search .status').textContent.includes('not among the genes')")
    colour_by(page, "Cluster")


def test_a_dot_or_a_row_shows_its_gene(full, sample):
    go_to(full, "[data-plot=dots]")
    full.wait("document.querySelector('[data-plot=dots] .dotmark') !== null")
    gene = full.run("document.querySelectorAll('[data-plot=dots] .dotmark')[40].dataset.gene")
    full.run(
        "document.querySelectorAll('[data-plot=dots] .dotmark')[40].dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    full.wait(f"document.querySelector('.map-legend').textContent.includes('{gene}')")
    data = data_of(full)
    at = places(full, data["layouts"][0])
    free = alone(at)
    brightness = pixels(full, at)[free] @ [0.2126, 0.7152, 0.0722]
    values = log_normalised(sample).loc[barcodes_of(data), gene].to_numpy()[free]
    assert stats.spearmanr(values, brightness)[0] < -0.9
    other = full.run("document.querySelector('.clusters button[data-gene]').dataset.gene")
    full.run("document.querySelector('.clusters button[data-gene]').click()")
    full.wait(f"document.querySelector('.map-legend').textContent.includes('{other}')")
    colour_by(full, "Cluster")


def test_quality_control_on_the_map(full, sample):
    data = data_of(full)
    at = places(full, data["layouts"][0])
    free = alone(at)
    for title, values in (("Counts", sample.X.sum(1)), ("Mitochondrial %", sample.obs["cicl_qc_mito"].to_numpy())):
        colour_by(full, title)
        full.wait(f"document.querySelector('.map-legend').textContent.includes('{title}')")
        shown = pd.Series(np.asarray(values).ravel(), index=sample.obs_names)[barcodes_of(data)].to_numpy()[free]
        brightness = pixels(full, at)[free] @ [0.2126, 0.7152, 0.0722]
        assert stats.spearmanr(shown, brightness)[0] > 0.9, title
        assert full.run("document.querySelectorAll('.distribution .violin').length") == 11
    colour_by(full, "Cluster")


def test_lasso_exports_the_cells_within(full):
    data = data_of(full)
    at = places(full, data["layouts"][0])
    go_to(full, "[data-plot=cells]")
    left, top = full.run(f"(() => {{ const r = {MAP}.getBoundingClientRect(); return [r.left, r.top]; }})()")
    corner, other = np.quantile(at, 0.3, axis=0), np.quantile(at, 0.8, axis=0)
    inside = (at > corner).all(axis=1) & (at < other).all(axis=1)
    full.run("document.querySelector('[data-tool=lasso]').click()")
    corners = [(corner[0], corner[1]), (other[0], corner[1]), (other[0], other[1]), (corner[0], other[1])]
    full.run(
        "void (window.saved = null, URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#'; })"
    )
    full.drag([(left + x, top + y) for x, y in corners])
    full.wait("!document.querySelector('.selection').hidden")
    full.run("[...document.querySelectorAll('.selection button')].find(b => b.textContent === 'Download CSV').click()")
    full.wait("window.saved")
    rows = full.run("window.saved").splitlines()
    names, codes = np.array(barcodes_of(data)), codes_of(data["colourings"][0])
    assert rows[0] == "barcode,cluster"
    assert sorted(rows[1:]) == sorted(f"{names[i]},{codes[i]}" for i in np.flatnonzero(inside))
    full.run("document.querySelector('[data-tool=lasso]').click()")
    full.run("[...document.querySelectorAll('.selection button')].find(b => b.textContent === 'Clear').click()")
    assert full.run("document.querySelector('.selection').hidden")


def test_names_of_clusters_are_kept_and_read_back(full, sample, tmp_path):
    from sccicl.downstream.annotate_names import annotate_by_names

    for cluster, name in (("0", "T cell, naive"), ("3", "=B cell")):
        full.run(
            f"(() => {{ const i = document.querySelector('input.name[data-cluster=\"{cluster}\"]'); i.value = {name!r};"
            "i.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
    assert "0 T cell, naive" in full.run("document.querySelector('.map-legend').textContent")
    full.run(
        "void (window.saved = null, URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#'; })"
    )
    full.run("document.querySelector('.save-names').click()")
    full.wait("window.saved")
    (tmp_path / "names.csv").write_text(full.run("window.saved"))
    found = annotate_by_names(sample, tmp_path / "names.csv")
    assert found.cluster_labels["0"] == "T cell, naive" and found.cluster_labels["1"] == "unknown"
    # a spreadsheet must not take the name for a formula
    assert found.cluster_labels["3"] == "'=B cell"
    for cluster in ("0", "3"):
        full.run(
            f"(() => {{ const i = document.querySelector('input.name[data-cluster=\"{cluster}\"]'); i.value = '';"
            "i.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )


def test_tables_sort_filter_and_download(full, sample):
    full.run("document.querySelector('.marker-table').closest('details').open = true")
    n = len(sample.uns["cicl"]["markers"]["table"])
    rows = "document.querySelector('.marker-table').tBodies[0].rows"
    full.wait(f"{rows}.length === {n}")
    head = "[...document.querySelectorAll('.marker-table .sort')].find(b => b.textContent === 'log2 fold change')"
    for direction in ("ascending", "descending"):
        full.run(f"{head}.click()")
        assert full.run(f"{head}.parentNode.getAttribute('aria-sort')") == direction
        values = full.run(f"[...{rows}].map(row => Number(row.cells[3].textContent))")
        assert values == sorted(values, reverse=direction == "descending")
    full.run("document.querySelector('input[type=search]').focus()")
    full.type("CD3")
    full.wait(f"[...{rows}].some(row => row.hidden)")
    shown = full.run(f"[...{rows}].filter(row => !row.hidden).map(row => row.cells[2].dataset.value)")
    assert shown and all("CD3" in gene for gene in shown)
    full.run(
        "void (window.saved = null, URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#'; })"
    )
    full.run(
        "[...document.querySelectorAll('.markers .tools button')].find(b => b.textContent === 'Download table (CSV)').click()"
    )
    full.wait("window.saved")
    saved = full.run("window.saved").splitlines()
    assert saved[0].startswith("Cluster,Rank,Gene") and [line.split(",")[2] for line in saved[1:]] == shown


def test_marks_of_few_changed_labels_differ(tmp_path):
    adata = clustered("calm")
    change = adata.uns["cicl"]["history"]["label_change"]
    adata.uns["cicl"]["history"]["label_change"] = np.linspace(0.003, 0, len(change))
    with Page() as page:
        page.open(write_report([(adata, metrics(adata))], tmp_path / "report.html"))
        chart = "document.querySelector('[data-plot=change]')"
        page.run(f"{chart}.closest('details').open = true")
        page.wait(f"{chart}.querySelectorAll('.tick').length > 3")
        marks = page.run(f"[...{chart}.querySelectorAll('.tick[text-anchor=end]')].map(tick => tick.textContent)")
        assert len(marks) > 1 and len(set(marks)) == len(marks)


def test_a_view_has_an_address(full_report):
    with Page() as page:
        page.open(full_report)
        page.wait(f"{MAP}.dataset.drawn")
        choose(page, "layout", "t-SNE")
        search_gene(page, "CD3D")
        address = page.run("location.hash")
    with Page() as page:
        page._call("Page.navigate", url=Path(full_report).resolve().as_uri() + address)
        page.wait(
            "document.readyState === 'complete' && document.querySelector('.map-legend').textContent.includes('CD3D')"
        )
        assert page.run("document.querySelector('input[name=sample-0-layout]:checked').value") == "t-SNE"


def test_dark_page(full_report):
    with Page(dark=True) as page:
        page.open(full_report)
        page.wait(f"{MAP}.dataset.drawn")
        without_names(page)
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 27)"
        data = data_of(page)
        at, item, dark = places(page, data["layouts"][0]), data["colourings"][0], readable_colours("dark")
        free = alone(at)
        expected = np.array([rgb(dark.get(c, c)) for c in item["colours"]])[codes_of(item)]
        assert np.abs(pixels(page, at)[free] - expected[free]).max() <= 12
        # what the page says of the dot plot holds on a dark page: the highest dot has the strongest contrast
        assert "darker" not in page.run("document.querySelector('main').textContent")
        search_gene(page, "CD3D")
        page.run("document.getElementById('theme').click()")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        light = pixels(page, at)
        page.run("document.getElementById('theme').click()")
        assert not np.array_equal(pixels(page, at), light)
        assert page.errors == []


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_colours_have_contrast(ground):
    paper, least = GROUNDS[ground]
    readable = readable_colours(ground)
    assert min(contrast(readable.get(c, c), paper) for c in PALETTE) >= least
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


def test_paper_has_every_figure_in_light_colours(full_report, tmp_path):
    with Page(dark=True) as page:
        page.open(full_report)
        page.run(
            "void addEventListener('beforeprint', () => { window.paper = ["
            "[...document.querySelectorAll('[data-plot]')].map(box => !!box.querySelector('svg :is(circle, rect, path), canvas') && box.dataset.drawn),"
            "getComputedStyle(document.body).backgroundColor, document.querySelectorAll('details:not([open])').length]; })"
        )
        page.pdf(tmp_path / "report.pdf")
        drawn, ground, folded = page.run("window.paper")
        assert drawn == ["yes"] * len(drawn) and len(drawn) > 8
        assert (ground, folded) == ("rgb(255, 255, 255)", 0)
        assert len(images := images_of(tmp_path / "report.pdf")) == page.run("document.querySelectorAll('.map').length")
        assert all(len(set(zip(*[iter(pixels)] * 3, strict=False))) > 50 for pixels in images), "a map is empty"
        # afterwards the page is as it was
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 27)"
        assert page.run("document.querySelectorAll('details[open]').length") == 0


def test_tables_fit_paper(full_report, report):
    with Page(740, 1000) as page:
        page.open(report)
        page._call("Emulation.setEmulatedMedia", media="print")
        cells = "[...document.querySelectorAll('.overview tr')].map(row => [...row.cells].filter(cell => cell.offsetWidth).length)"
        assert page.run(cells) == [6, 6, 6]
        page.open(full_report)
        page.run("document.querySelector('.marker-table').closest('details').open = true")
        rows = "[...document.querySelector('.marker-table').tBodies[0].rows]"
        page.wait(f"{rows}.some(row => Number(row.cells[1].textContent) > 10)")
        shown = page.run(f"{rows}.filter(row => row.offsetHeight).map(row => Number(row.cells[1].textContent))")
        assert max(shown) == 10 and shown.count(1) == 11
        for table in (".clusters", ".marker-table"):
            assert page.run(f"document.querySelector('{table}').getBoundingClientRect().right") <= 740, table


def test_pictures_are_dark_on_white(full_report):
    with Page(dark=True) as page:
        page.open(full_report)
        page.wait(f"{MAP}.dataset.drawn")
        page.run(
            "void (window.saved = null, URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#'; })"
        )
        page.run("document.querySelector('[data-tool=svg]').click()")
        page.wait("window.saved")
        picture = page.run("window.saved")
        assert 'fill="#ffffff"' in picture and "#0072b2" in picture.lower() and picture.count("h0") == 700
        page.run("void (window.saved = null)")
        go_to(page, "[data-plot=dots]")
        page.wait("document.querySelector('[data-plot=dots]').dataset.drawn")
        page.run("document.querySelector('[data-save=markers]').click()")
        page.wait("window.saved")
        parsed = page.run(
            "(() => { const d = new DOMParser().parseFromString(window.saved, 'image/svg+xml');"
            "return [d.querySelectorAll('parsererror').length, d.querySelectorAll('circle').length]; })()"
        )
        assert parsed[0] == 0 and parsed[1] > 100
        assert page.errors == []


def test_phone(full_report):
    with Page(390, 844, touch=True) as page:
        page.open(full_report)
        go_to(page, "[data-plot=cells]")
        page.wait(f"{MAP}.dataset.drawn")
        assert page.run("document.documentElement.scrollWidth") <= 390
        before = page.run("scrollY")
        seen = pixels(page, np.array([[x, y] for x in range(20, 300, 20) for y in range(20, 300, 20)], float))
        # a swipe over the map scrolls the page and leaves the map as it is
        page.swipe(195, 500, 300)
        page.wait(f"scrollY > {before} + 200")
        again = pixels(page, np.array([[x, y] for x in range(20, 300, 20) for y in range(20, 300, 20)], float))
        assert np.array_equal(seen, again)
        assert page.errors == []


CLIPPED = """[...document.querySelectorAll("main *, header *")].filter(box => {
    const { top, width, height } = box.getBoundingClientRect(), style = getComputedStyle(box);
    // a table scrolls, a field for text holds what is typed
    if (top >= innerHeight || !width || !height || box.matches("input, .scroll")) return false;
    const cut = (overflow, inside, outside) => overflow !== "visible" && inside > outside + 1;
    return cut(style.overflowY, box.scrollHeight, box.clientHeight) || cut(style.overflowX, box.scrollWidth, box.clientWidth);
}).map(box => box.outerHTML.slice(0, 150))"""


@pytest.fixture(scope="module")
def warned_report(sample, tmp_path_factory):
    """A report of a sample of which there is much to say."""
    adata = sample.copy()
    k = len(adata.obs["cicl"].cat.categories)
    valley = np.zeros((k, k))
    valley[2, 4] = valley[4, 2] = 0.88
    adata.uns["cicl"]["valley"] = valley
    adata.uns["cicl"]["warnings"] = [
        "types.csv: the sample has no marker gene of Platelet and Erythroid cell, so no cell gets this label",
        *(f"reads_{i}.fastq.gz: the file names a lane that the samplesheet does not mention" for i in range(6)),
    ]
    return write_report(
        [(adata, metrics(adata))], tmp_path_factory.mktemp("warned") / "report.html", files_at="../{id}/"
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_shadow_says_that_the_table_of_clusters_goes_on(warned_report, tmp_path, dark):
    def bottom(page):
        """Brightness of the lowest lines of the table's box, beside the text."""
        page.screenshot(tmp_path / "table.png", of=".answer")
        return np.median(imread(tmp_path / "table.png")[-6:, :, :3].mean(-1), axis=1).mean()

    with Page(1280, 900, dark=dark) as page:
        page.open(warned_report)
        page.run("void (document.querySelector('.answer').style.maxHeight = '12rem')")
        goes_on = bottom(page)
        page.run("void (document.querySelector('.answer').scrollTop = 9999)")
        assert abs(goes_on - bottom(page)) > 0.1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_first_screen_is_whole(warned_report, width, height, dark):
    with Page(width, height, dark=dark) as page:
        page.open(warned_report)
        page.run("new Promise(done => setTimeout(done, 300))")
        assert page.run(CLIPPED) == []
        shown = page.run("document.querySelector('.note').innerText")
        assert "Clusters 2 + 4 could be one. Evidence: " in shown and "Merged: 10 clusters" in shown
        if width > height:
            for part in (".headline", ".note", ".next", ".answer"):
                assert page.run(f"document.querySelector('{part}').getBoundingClientRect().bottom") < height, part
        # what is folded is one click away, and then whole as well
        assert "reads_5" not in shown
        page.run("document.querySelector('.note summary').click()")
        assert "reads_5" in page.run("document.querySelector('.note').innerText") and page.run(CLIPPED) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_serious_finding_of_axe(full_report, dark):
    if not AXE.is_file():
        pytest.skip("axe-core is not there: scripts/install-axe.sh installs it")
    with Page(dark=dark) as page:
        page.open(full_report)
        page.run("document.querySelectorAll('details').forEach(item => { item.open = true; })")
        search_gene(page, "CD3D")
        page.run("void window.dispatchEvent(new Event('resize'))")
        page.run(AXE.read_text(encoding="utf-8") + "; void 0")
        found = page.run(
            "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 150)]))"
        )
        assert [item for item in found if item[0] in ("serious", "critical")] == []


def test_many_cells(tmp_path):
    rng = np.random.default_rng(0)
    n = int(os.environ.get("CICL_BROWSER_CELLS", 20_000))
    codes = rng.integers(0, 30, n)
    obs = pd.DataFrame({"cicl": pd.Categorical.from_codes(codes, [str(i) for i in range(30)])})
    adata = anndata.AnnData(np.zeros((n, 1), np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.obsm["X_umap"] = (rng.normal(size=(30, 2)) * 8)[codes] + rng.normal(size=(n, 2))
    with Page() as page:
        page.open(write_report([(adata, {})], tmp_path / "report.html"))
        page.wait(f"{MAP}.dataset.drawn")
        data = data_of(page)
        item = data["colourings"][0]
        at, readable = places(page, data["layouts"][0]), readable_colours("light")
        expected = np.array([rgb(readable.get(c, c)) for c in item["colours"]])[codes_of(item)]
        free = alone(at, 1.9)
        close = np.abs(pixels(page, at[free]) - expected[free]).max(axis=1) <= 12
        # a few lie below the numbers of the clusters
        assert free.sum() > 20 and close.mean() > 0.9
        assert page.errors == []
