"""The benchmark's tables and its page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..runtime.files import atomic_path
from . import figures
from .groups import EVERY, group_means, left_out_folds, lost_to_simple, paired_tests
from .methods import TITLES
from .paper import beside_printed
from .plan import STUDIES
from .summary import ALL, METRICS, by_dataset, in_order, ranks, summarise

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


# The simplest rival, which every figure of the comparison refers to, and the difference that counts.
REFERENCE, MARGIN = "pca20-kmeans", 0.05
# Share of the cells that may be without counts, and so without a cluster, before a data set counts as sampled
EMPTY = 0.01


def write_report(
    results: "pd.DataFrame",
    outdir: Path,
    *,
    left_out: dict[str, str],
    missing: list[str],
    groups: dict[str, str] | None = None,
    studies: dict[str, str] | None = None,
    papers: dict[str, str] | None = None,
    whole: dict[str, str] | None = None,
) -> None:
    """Write the tables (results, summary, groups, paired, folds, paper) and report.html, which loads nothing.

    Parameters
    ----------
    results
        Rows of `run.run`.
    left_out
        Method -> why it was not run.
    missing
        Runs that were planned and gave no result.
    groups, studies
        Data set -> group whose mean is given by itself, and study that is left out together.
    papers, whole
        Data set -> set of the paper, and how much of it is there.
    """
    import jinja2
    import pandas as pd
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    results = in_order(results.assign(method=results["method"].map(TITLES)))
    left_out = {TITLES[name]: why for name, why in left_out.items()}
    failed = results["failure"] != ""
    everything, results = results, results[~failed]
    if results.empty:
        raise InputError(
            f"every run failed; correct the first reason, and run it again: {everything['failure'].iloc[0]}"
        )
    summary = summarise(results)
    by_group, paired = group_means(summary, groups or {}), paired_tests(summary, groups or {})
    by_study = [left_out_folds(summary, studies or {}, STUDIES[name][0]).assign(parameter=name) for name in STUDIES]
    folds = pd.concat([found for found in by_study if len(found)] or by_study[:1])
    printed = beside_printed(summary, papers or {}, whole or {}, TITLES)
    tables = {"results": everything, "summary": summary, "groups": by_group, "paired": paired, "folds": folds}
    tables["paper"] = printed
    for name, table in tables.items():
        if name in ("folds", "paper") and table.empty:
            continue
        with atomic_path(outdir / f"{name}.tsv") as temporary:
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
        tracks=[_track(summary, plain, paired, track) for track in plain["track"].unique()],
        seconds=_html(figures.against_cells(results, "seconds", "Seconds")) if len(plain) else None,
        memory=_html(figures.against_cells(results, "peak_memory_mb", "Peak memory (MB)")) if len(plain) else None,
        failures=_failures(everything[failed]),
        printed=printed.to_dict("records"),
        paper_sets={name: (paper, (whole or {}).get(name, "")) for name, paper in (papers or {}).items() if paper},
        studies=[(name, _html(figure)) for name in STUDIES if (figure := figures.study(summary, name)) is not None],
        groups=_wide(by_group),
        paired=paired.to_dict("records"),
        lost=lost_to_simple(summary),
        folds=[(name, part["ari"].mean(), part["best_ari"].mean()) for name, part in folds.groupby("parameter")],
        left_out=left_out,
        missing=missing,
        reference=REFERENCE,
        margin=MARGIN,
        style=Markup((Path(__file__).parents[1] / "report" / "templates" / "report.css").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script")),
    )
    with atomic_path(outdir / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def _wide(means: "pd.DataFrame") -> dict[str, Any]:
    """Names of the groups, and a row for each track and method with the mean of every group."""
    rows = [
        {"track": track, "method": method, "ari": dict(zip(part["group"], part["ari"], strict=True))}
        for (track, method), part in means.groupby(["track", "method"], sort=False)
    ]
    return {"names": list(means["group"].unique()), "rows": rows}


def _failures(failed: "pd.DataFrame") -> list[str]:
    """A line for each method, data set and track on which runs failed."""
    return [
        f"{method} on {dataset}, k {track}, seed {', '.join(map(str, part['seed']))}: {part['failure'].iloc[0]}"
        for (method, dataset, track), part in failed.groupby(["method", "dataset", "track"], sort=False)
    ]


def _track(summary: "pd.DataFrame", plain: "pd.DataFrame", paired: "pd.DataFrame", track: str) -> dict[str, Any]:
    table = by_dataset(summary, track)
    found = ranks(table)
    against = paired[(paired["track"] == track) & (paired["group"] == EVERY)]
    return {
        "name": track,
        "rows": _rows(summary, plain, track),
        "won": _html(figures.won_and_lost(against)) if len(against) else None,
        "unranked": () if found is None else found.left_out,
        "boxes": _html(figures.boxes(table)),
        "heat_map": _html(figures.heat_map(table)),
        "ranks": None if found is None else _html(figures.critical_difference(found)),
        "p": None if found is None else found.p,
        "critical_difference": None if found is None else found.critical_difference,
        "numbers": _html(figures.numbers_of_clusters(summary)) if track == "estimated" else None,
        "n_ranked": None if found is None else found.n_datasets,
    }


def _rows(summary: "pd.DataFrame", plain: "pd.DataFrame", track: str) -> list[dict[str, Any]]:
    """Rows of the table of methods, best ARI first; `sampled` counts data sets of which a part was used."""
    of_track = summary[(summary["track"] == track) & (summary["setting"] == "")]
    single, table = of_track[of_track["dataset"] != ALL], by_dataset(summary, track)
    rows = []
    for whole in of_track[of_track["dataset"] == ALL].sort_values("ari_mean", ascending=False).to_dict("records"):
        own = single[single["method"] == whole["method"]]
        row = {name: whole[name] for name in ("method", "n_datasets", *(f"{m}_mean" for m in METRICS), "ari_sd")}
        row["near_k"] = int(((own["n_clusters_mean"] / own["k"] - 1).abs() <= 0.25).sum())
        runs = plain[(plain["method"] == whole["method"]) & (plain["track"] == track)]
        row["version"] = ", ".join(dict.fromkeys(filter(None, runs["version"])))
        row["sampled"] = runs.loc[runs["cells_used"] < runs["n_cells"] - EMPTY * runs["n_cells"], "dataset"].nunique()
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
