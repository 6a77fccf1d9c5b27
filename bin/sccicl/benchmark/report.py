"""The benchmark's tables and its page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.files import atomic_path
from . import figures
from .plan import STUDIES
from .summary import ALL, METRICS, by_dataset, in_order, ranks, summarise

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


# The simplest rival, which every figure of the comparison refers to, and the difference that counts.
REFERENCE, MARGIN = "pca20-kmeans", 0.05


def write_report(results: "pd.DataFrame", outdir: Path, *, left_out: dict[str, str], missing: list[str]) -> None:
    """Write results.tsv, summary.tsv and report.html, which loads nothing from anywhere.

    Parameters
    ----------
    results
        Rows of `run.run`.
    left_out
        Method -> why it was not run.
    missing
        Runs that were planned and gave no result.
    """
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    results = in_order(results)
    summary = summarise(results)
    for table, name in ((results, "results.tsv"), (summary, "summary.tsv")):
        with atomic_path(outdir / name) as temporary:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.4f")
    templates = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = _number
    plain = results[results["setting"] == ""]
    page = environment.get_template("benchmark.html").render(
        n_datasets=results["dataset"].nunique(),
        n_seeds=results["seed"].nunique(),
        tracks=[_track(summary, track) for track in plain["track"].unique()],
        seconds=_html(figures.seconds(results)) if len(plain) else None,
        studies=[(name, _html(figure)) for name in STUDIES if (figure := figures.study(summary, name)) is not None],
        left_out=left_out,
        missing=missing,
        reference=REFERENCE,
        margin=MARGIN,
        style=Markup((Path(__file__).parents[1] / "report" / "templates" / "report.css").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script")),
    )
    with atomic_path(outdir / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def _track(summary: "pd.DataFrame", track: str) -> dict[str, Any]:
    table = by_dataset(summary, track)
    found = ranks(table)
    return {
        "name": track,
        "rows": _rows(summary, track),
        "boxes": _html(figures.boxes(table)),
        "heat_map": _html(figures.heat_map(table)),
        "ranks": None if found is None else _html(figures.critical_difference(found)),
        "p": None if found is None else found.p,
        "critical_difference": None if found is None else found.critical_difference,
        "numbers": _html(figures.numbers_of_clusters(summary)) if track == "estimated" else None,
        "n_ranked": None if found is None else found.n_datasets,
    }


def _rows(summary: "pd.DataFrame", track: str) -> list[dict[str, Any]]:
    """Rows of the table of methods, best ARI first."""
    of_track = summary[(summary["track"] == track) & (summary["setting"] == "")]
    single, table = of_track[of_track["dataset"] != ALL], by_dataset(summary, track)
    rows = []
    for whole in of_track[of_track["dataset"] == ALL].sort_values("ari_mean", ascending=False).to_dict("records"):
        own = single[single["method"] == whole["method"]]
        row = {name: whole[name] for name in ("method", "n_datasets", *(f"{m}_mean" for m in METRICS), "ari_sd")}
        row["near_k"] = int(((own["n_clusters_mean"] / own["k"] - 1).abs() <= 0.25).sum())
        if REFERENCE in table:
            difference = (table[whole["method"]] - table[REFERENCE]).dropna()
            row["gain"] = difference.mean()
            row["above"], row["below"] = int((difference > MARGIN).sum()), int((difference < -MARGIN).sum())
        rows.append(row)
    return rows


def _html(figure: "Figure") -> Any:
    from markupsafe import Markup

    return Markup(
        figure.to_html(
            full_html=False, include_plotlyjs=False, config={"displaylogo": False, "displayModeBar": "hover"}
        )
    )


def _number(value: float, digits: int = 3) -> str:
    return "–" if value is None or value != value else f"{value:.{digits}f}"
