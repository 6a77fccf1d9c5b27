"""The benchmark's command line: what to run, one task, the report."""

import csv
from pathlib import Path
from typing import Any

import click

from ..cli.group import Commands
from ..cli.options import seed_number
from ..errors import InputError
from ..runtime.environment import set_environment
from ..runtime.files import atomic_path
from .methods import METHODS, PROGRAMS, TITLES, TRACKS
from .program import LIMIT, Program, checked

existing = click.Path(path_type=Path)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Compare CICL with the methods that a user would take instead, on cells whose types are known."""
    set_environment()


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _write(rows: list[dict[str, Any]], columns: tuple[str, ...], path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): check the path, or start the benchmark again"
        ) from error


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--methods", help=f"Of {', '.join(METHODS)}; separated by commas, all by default.")
@click.option("--sets", help="Names of data sets, separated by commas; all by default. paper: those of the paper.")
@click.option("--tracks", help=f"Of {', '.join(TRACKS)}; all by default.")
@click.option("--studies", help="Of lambda, epochs; none by default.")
@click.option("--seeds", "n_seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Number of seeds.")
@click.option("--programs", type=click.Path(path_type=Path), help="TOML file: where the programs of others are.")
@click.option(
    "--limit", type=click.FloatRange(min=1), default=LIMIT, show_default=True, help="Seconds for a run of a program."
)
@click.option("--outdir", type=click.Path(file_okay=False, path_type=Path), default=".", help="Folder of the outputs.")
def plan(folder: Path, n_seeds: int, programs: Path | None, limit: float, outdir: Path, **chosen: str | None) -> None:
    """List the tasks for a FOLDER of h5ad files: writes plan.tsv, and left_out.tsv with methods that cannot be run."""
    from .plan import PLAN_COLUMNS
    from .plan import plan as make_plan

    names = {name: _names(text) for name, text in chosen.items()}
    rows, left_out = make_plan(folder, n_seeds=n_seeds, programs=programs, limit=limit, **names)
    _write(rows, PLAN_COLUMNS, outdir / "plan.tsv")
    reasons = [{"method": method, "reason": reason} for method, reason in left_out.items()]
    _write(reasons, ("method", "reason"), outdir / "left_out.tsv")
    for method, reason in left_out.items():
        click.echo(f"{TITLES[method]} is left out: {reason}")


@main.command()
@click.argument("dataset", type=existing)
@click.option("--method", "methods", multiple=True, required=True, type=click.Choice(list(METHODS)))
@click.option("--track", "tracks", multiple=True, type=click.Choice(TRACKS), default=TRACKS, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=seed_number, default=(0,), show_default=True)
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="NAME=VALUE[,...]",
    help="Parameters of CICL to change; given again, another run with others.",
)
@click.option(
    "--program-option",
    "program_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of a program, such as folder=/home/me/CLEAR; with one --method only.",
)
@click.option("--input-kind", type=click.Choice(["counts", "normalised", "log"]), default="counts", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU cores to use; by default all of them.")
@click.option("--code", help="Version of the code in the plan: with another one nothing is run.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The table to write.")
def run(
    dataset: Path,
    settings: tuple[str, ...],
    program_options: tuple[str, ...],
    threads: int | None,
    code: str | None,
    out: Path,
    **options: Any,
) -> None:
    """Run methods on one DATASET (h5ad with obs["cell_type"]) and score them: a row for each method, track and seed."""
    from ..runtime.device import set_threads
    from .plan import code_version, why_not
    from .run import COLUMNS
    from .run import run as run_methods

    own = _program_options(options["methods"], program_options)
    if code is not None and code != code_version(*options["methods"], options=own):
        raise InputError("the code has changed since the plan was made: start the benchmark again")
    if not dataset.exists():
        raise InputError(f"{dataset} does not exist: check the path")
    for name in options["methods"]:
        method = METHODS[name]
        # A program that fails has a row that says why.
        is_checked = not isinstance(method, Program) or not set(method.tracks) & set(options["tracks"])
        if is_checked and (why := why_not(name, options["tracks"], own)):
            raise InputError(f"{name} cannot be run: {why}; choose another method or track")
    set_threads(threads)
    changes = tuple(map(_changes, settings)) or ({},)
    _write(run_methods(dataset, settings=changes, options=own, **options), COLUMNS, out)


def _program_options(methods: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    programs = [name for name in methods if isinstance(METHODS[name], Program)]
    if given and (len(methods) > 1 or not programs):
        raise InputError(f"--program-option: give one --method, and a program: {', '.join(PROGRAMS)}")
    options = {name: value for name, _, value in (pair.partition("=") for pair in given)}
    for name in programs:
        checked(name, PROGRAMS[name], options, where="--program-option")
    return options


def _changes(setting: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in setting.split(",")]
    if not all(name and value for name, _, value in pairs):
        raise InputError(f"--setting {setting}: give NAME=VALUE, such as epochs=20")
    return {name: value for name, _, value in pairs}


@main.command()
@click.argument("folder", type=existing)
@click.option("--plan", "plan_file", type=existing, help="The plan.tsv, to tell what is missing.")
@click.option("--left-out", "left_out_file", type=existing, help="The left_out.tsv.")
@click.option("--outdir", type=click.Path(file_okay=False, path_type=Path), default=".", help="Folder of the outputs.")
def report(folder: Path, plan_file: Path | None, left_out_file: Path | None, outdir: Path) -> None:
    """Put the tables of runs in FOLDER together: writes the tables and report.html.

    The tables are results.tsv, summary.tsv, groups.tsv (means by group), paired.tsv (tests against every method), of
    studies folds.tsv (values chosen on other studies), and of the paper's data sets paper.tsv (printed figures).
    """
    import pandas as pd

    from .plan import missing
    from .report import write_report
    from .run import COLUMNS
    from .summary import METRICS

    # Runs that failed have no numbers.
    empty = {name: [""] for name in METRICS}
    text = dict.fromkeys(("setting", "version", "failure"), str)
    tables = []
    for path in sorted(folder.glob("*.tsv")):
        try:
            table = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=empty, dtype=text)
        except ValueError:  # no text, or no columns
            table = pd.DataFrame()
        if not set(COLUMNS) <= set(table):
            raise InputError(f"{path} is no table of runs: take it out of the folder, and write reports to another one")
        tables.append(table)
    if not any(map(len, tables)):
        raise InputError(f"there is no result in the folder {folder}: run something first")
    results = pd.concat([table for table in tables if len(table)], ignore_index=True)
    left_out = {row["method"]: row["reason"] for row in _read(left_out_file)} if left_out_file else {}
    planned = _read(plan_file) if plan_file else []
    lost = missing(planned, results.to_dict("records"))
    about = {
        column: {row["dataset"]: row.get(column) or "" for row in planned}
        for column in ("group", "study", "paper", "whole")
    }
    write_report(
        results,
        outdir,
        left_out=left_out,
        missing=lost,
        groups=about["group"],
        studies=about["study"],
        papers=about["paper"],
        whole=about["whole"],
    )
