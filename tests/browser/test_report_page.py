"""The report as a reader meets it: drawn, quiet, answering to mouse and keyboard, asking the network for nothing."""

import numpy as np
import pytest
from chromium import Page, find_chromium
from clustered import clustered, described, metrics
from sccicl.report.page import write_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
EVIL = '<script>window.hurt=1</script><img src=x onerror="window.hurt=1"> & \'"'
MAP = "document.querySelector('[data-plot=cells]')"


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
        yield page


@pytest.fixture(autouse=True)
def quiet(page):
    yield
    assert page.errors == []
    assert page.run("window.hurt") is None
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def choose(page, what: str, value: str) -> None:
    page.run(f"document.querySelector('input[name=sample-0-{what}][value=\"{value}\"]').click()")


def colours(page) -> list:
    """Colours of the first map's points, as they are drawn."""
    page.run("new Promise(done => setTimeout(done, 300))")
    return page.run(f"[...{MAP}.querySelectorAll('.points path')].map(point => getComputedStyle(point).fill)")


def test_every_plot_is_drawn(page):
    marks = ".point, .points path, .hm image, .js-line"
    for i in range(page.run("document.querySelectorAll('[data-plot]').length")):
        plot = f"document.querySelectorAll('[data-plot]')[{i}]"
        page.run(f"{plot}.scrollIntoView({{behavior: 'instant'}})")
        page.wait(f"{plot}.querySelector('{marks}') !== null")
        assert page.run(f"{plot}.textContent.includes('could not')") is False
    page.run("window.scrollTo({top: 0, behavior: 'instant'})")
    page.wait(f"{MAP}.dataset.drawn")
    assert len(colours(page)) == 700


def test_colouring(page):
    by_cluster = colours(page)
    assert len(set(by_cluster)) == 11
    choose(page, "colour", "1")
    by_label = colours(page)
    assert len(set(by_label)) == 10
    assert page.run("document.querySelectorAll('.legend')[0].children.length") == 10
    assert EVIL in page.run("document.querySelectorAll('.legend')[0].textContent")
    choose(page, "colour", "2")
    assert len(set(colours(page))) > 50
    choose(page, "colour", "3")
    assert len(set(colours(page))) == 2
    choose(page, "colour", "0")
    assert colours(page) == by_cluster


def test_layout(page):
    where = f"{MAP}.querySelector('.points path').getAttribute('transform')"
    first = page.run(where)
    choose(page, "layout", "t-SNE")
    page.wait(f"{where} !== {first!r}")
    assert "t-SNE 1" in page.run(f"{MAP}.textContent")
    choose(page, "layout", "UMAP")
    page.wait(f"{where} === {first!r}")


def test_highlight_and_numbers(page):
    before = colours(page)
    page.run("document.querySelector('.legend button').click()")
    assert len(set(colours(page))) == 2
    assert page.run("document.querySelector('.legend button').getAttribute('aria-pressed')") == "true"
    page.run("document.querySelector('.legend button').click()")
    assert colours(page) == before
    numbers = f"{MAP}.querySelectorAll('.annotation').length"
    assert page.run(numbers) == 11
    page.run("document.getElementById('sample-0-numbers').click()")
    page.wait(f"{numbers} === 0")
    page.run("document.getElementById('sample-0-numbers').click()")
    page.wait(f"{numbers} === 11")


def test_keyboard(page):
    page.run("document.querySelector('input[name=sample-0-layout]:checked').focus()")
    page.press("ArrowRight", 39)
    page.wait(f"{MAP}.textContent.includes('t-SNE 1')")
    page.press("ArrowLeft", 37)
    page.wait(f"{MAP}.textContent.includes('UMAP 1')")
    page.run("document.querySelector('.legend button').focus()")
    page.press(" ", 32)
    page.wait("document.querySelector('.legend button').getAttribute('aria-pressed') === 'true'")
    # the legend is made anew, and the reader must not lose the place
    assert page.run("document.activeElement.dataset.code") == "0"
    page.press(" ", 32)
    page.wait("document.querySelector('.legend button').getAttribute('aria-pressed') === 'false'")


def test_names_are_shown_as_they_are(page):
    assert page.run("document.querySelector('h1').textContent") == EVIL
    cell = f"{MAP}.data[0].text.findIndex(text => text.includes('hurt'))"
    page.run(f"Plotly.Fx.hover({MAP}, [{{curveNumber: 0, pointNumber: {cell}}}])")
    hover = page.run(f"{MAP}.querySelector('.hoverlayer').textContent")
    assert "<script>" in hover
    assert "Confidence: " in hover
    assert page.run(f"{MAP}.querySelectorAll('.hoverlayer a, .hoverlayer img').length") == 0


def test_no_button_sends_data_away(page):
    titles = page.run("[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)")
    assert titles
    assert not [
        title for title in titles if any(word in title.lower() for word in ("share", "cloud", "edit", "plotly"))
    ]


def test_every_control_has_a_name(page):
    named = "e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label')"
    controls = "[...document.querySelectorAll('input, select, button')]"
    unnamed = page.run(f"{controls}.filter(e => !({named})).map(e => e.outerHTML.slice(0, 99))")
    assert unnamed == []


def test_narrow_screen_and_dark_mode(report):
    with Page(390, 844, dark=True) as page:
        page.open(report)
        page.run(f"{MAP}.scrollIntoView({{behavior: 'instant'}})")
        page.wait(f"{MAP}.dataset.drawn")
        assert page.run("document.documentElement.scrollWidth") <= 390
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 27)"
        assert page.errors == []


def test_many_cells_by_webgl(tmp_path):
    import anndata
    import pandas as pd

    rng = np.random.default_rng(0)
    n = 20_000
    codes = rng.integers(0, 30, n)
    obs = pd.DataFrame({"cicl": pd.Categorical.from_codes(codes, [str(i) for i in range(30)])})
    adata = anndata.AnnData(np.zeros((n, 1), np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.obsm["X_umap"] = (rng.normal(size=(30, 2)) * 8)[codes] + rng.normal(size=(n, 2))
    with Page() as page:
        page.open(write_report([(adata, {})], tmp_path / "report.html"))
        page.wait(f"{MAP}.dataset.drawn")
        assert page.run(f"{MAP}.data[0].type") == "scattergl"
        assert page.run(f"{MAP}.querySelector('canvas') !== null")
        assert page.errors == []


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    adata = described(clustered("full"))
    change = adata.uns["cicl"]["history"]["label_change"]
    adata.uns["cicl"]["history"]["label_change"] = np.linspace(0.003, 0, len(change))
    with Page() as page:
        page.open(write_report([(adata, metrics(adata))], tmp_path_factory.mktemp("full") / "report.html"))
        page.wait(f"{MAP}.dataset.drawn")
        yield page
        assert page.errors == []


def test_markers_and_quality_control_are_drawn(full):
    for plot in ("ranks", "histogram", "dots"):
        full.run(f"document.querySelector('[data-plot={plot}]').scrollIntoView({{behavior: 'instant'}})")
        full.wait(f"document.querySelector('[data-plot={plot}] :is(.point, .points path, .js-line)') !== null")
    genes = full.run("document.querySelector('[data-plot=dots]').data[0].x.length")
    assert genes == 11 * full.run("new Set(document.querySelector('[data-plot=dots]').data[0].x).size")


def test_names_of_markers_have_room_on_a_phone(full):
    """Each has the height of a line to itself; the plot scrolls, not the page."""
    dots = "document.querySelector('[data-plot=dots]')"
    with Page(390, 844) as phone:
        phone.open(full.run("decodeURIComponent(location.pathname)"))
        phone.run(f"{dots}.scrollIntoView({{behavior: 'instant'}})")
        phone.wait(f"{dots}.querySelectorAll('.xtick').length > 10")
        places = phone.run(f"[...{dots}.querySelectorAll('.xtick')].map(tick => tick.getBoundingClientRect().left)")
        assert np.diff(sorted(places)).min() > 11
        assert phone.run("document.documentElement.scrollWidth") <= 390
        assert phone.errors == []


def test_quality_control_has_marks_on_its_axes(full):
    ticks = (
        "[...document.querySelectorAll('[data-plot=histogram]')].map(plot => plot.querySelectorAll('.xtick').length)"
    )
    full.run("document.querySelector('[data-plot=histogram]').scrollIntoView({behavior: 'instant'})")
    full.wait(f"{ticks}.every(n => n > 0)")
    assert min(full.run(ticks)) >= 2


def test_marks_of_few_changed_labels_differ(full):
    change = "document.querySelector('[data-plot=change]')"
    full.run(f"{change}.scrollIntoView({{behavior: 'instant'}})")
    full.wait(f"{change}.querySelectorAll('.ytick').length > 1")
    marks = full.run(f"[...{change}.querySelectorAll('.ytick')].map(tick => tick.textContent)")
    assert len(set(marks)) == len(marks)


def test_colouring_by_a_gene(full):
    full.run("window.scrollTo({top: 0, behavior: 'instant'})")
    full.wait(f"{MAP}.dataset.drawn")
    by_cluster = colours(full)
    full.run("document.querySelector('select.gene').focus()")
    full.press("ArrowDown", 40)
    full.wait("document.querySelector('input[value=gene]').checked")
    assert len(set(colours(full))) > 11
    name = full.run("document.querySelector('select.gene').selectedOptions[0].textContent")
    assert name in full.run("document.querySelector('.map > .legend').textContent")
    assert full.run("document.querySelector('.map > .legend').getBoundingClientRect().width") > 100
    # A dot of the dot plot colours the map by its gene
    gene = full.run(
        "(() => { const div = document.querySelector('[data-plot=dots]'), place = div.data[0].customdata[3];"
        "div.emit('plotly_click', {points: [{customdata: place}]}); return place; })()"
    )
    assert full.run("Number(document.querySelector('select.gene').value)") == gene
    choose(full, "colour", "0")
    assert colours(full) == by_cluster


def test_every_colouring(full):
    for value, n in {"1": 4, "4": 4}.items():
        choose(full, "colour", value)
        assert len(set(colours(full))) == n
        assert full.run("document.querySelectorAll('.map > .legend button').length") == n
