"""What is to be run: one row for each task, and the methods that cannot be run here."""

import filecmp
import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import InputError
from .dataset import groups_and_studies, input_kinds
from .methods import METHODS, PROGRAMS, TITLES, TRACKS, Cicl, config_of
from .paper import PAPER, of_paper, wholeness
from .program import LIMIT, Program, installed_version, read_options, reason

PLAN_COLUMNS = (
    *("dataset", "input_kind", "methods", "tracks", "seeds", "setting", "options", "code", "group", "study"),
    *("paper", "whole"),
)
# Columns with several entries, and what lies between these.
PARTS = {"methods": ",", "setting": ";", "tracks": ","}
# A study changes one parameter of the default, with k given: its name, its values and what else has to be set.
STUDIES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "lambda": ("cluster_loss_weight", ("0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"), ""),
    # Small samples would get more epochs than asked for.
    "epochs": ("epochs", ("1", "2", "5", "10", "20", "50", "100", "200"), ",min_steps=1"),
}
# Folders of the package that no cluster depends on: when they change, nothing has to be run again. The same holds for
# the files beside the folders; the values of config.py are taken by themselves.
WITHOUT_EFFECT = ("benchmark", "cli", "count", "downstream", "report")
# Methods that are the default but for its training: the ensemble is the same.
WITH_ENSEMBLE = ("cicl", "cicl-instance")
SHARED_FILES = ("downstream/metrics.py", "benchmark/accuracy.py", "benchmark/dataset.py", "benchmark/run.py")
RIVALS_FILES = ("benchmark/rivals.py", "benchmark/scdha.py")
PROGRAMS_FILES = ("benchmark/rivals.py", "benchmark/program.py", "benchmark/programs/exchange.")
RIVALS_PACKAGES = ("scanpy", "scikit-learn", "leidenalg", "scvi-tools")
CICL_PACKAGES = ("torch", "numpy")


def plan(
    folder: Path,
    *,
    methods: list[str],
    sets: list[str],
    tracks: list[str],
    n_seeds: int,
    studies: list[str],
    programs: Path | None = None,
    limit: float = LIMIT,
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Tasks of a benchmark, and the methods that are left out with the reason.

    CICL has a task for each data set and seed, whose runs share an ensemble. Rivals are quick: a task
    has all seeds, and the two methods that cut the same scVI model. Empty lists mean all methods, sets and tracks, and
    no studies.

    Parameters
    ----------
    sets
        Names of data sets; `paper` alone stands for those of the folder that the paper has.
    programs
        TOML file with the options of programs, see `program.read_options`.
    limit
        Seconds for one run of a program.

    Returns
    -------
    tuple
        Rows with the columns `PLAN_COLUMNS` (lists joined by commas), biggest data set first; method -> reason.

    Raises
    ------
    InputError
        When a name is not known, or a program would learn from a data set that it is scored on.
    """
    options = read_options(programs, PROGRAMS)
    kinds = input_kinds(folder)
    group_of, study_of = groups_and_studies(folder)
    papers = of_paper(list(kinds)) if sets == [PAPER] else {}
    if sets == [PAPER] and not papers:
        raise InputError(
            f"no file in {folder} has the name of a data set of the paper: name them as docs/benchmark.md does"
        )
    sets = _chosen(list(papers) or sets, list(kinds), "data set")
    tracks = _chosen(tracks, list(TRACKS), "track")
    methods = _chosen(methods, list(METHODS), "method")
    studies = _chosen(studies, list(STUDIES), "study") if studies else []
    left_out = {name: why for name in methods if (why := why_not(name, tracks, options.get(name, {})))}
    for name in set(methods) - set(left_out):
        if "source" in options.get(name, {}):
            _refuse_source(Path(options[name]["source"]), folder, sets, TITLES[name])
    groups = _groups([name for name in methods if name not in left_out])
    tasks = [task for group in groups for task in _tasks(group, tracks, n_seeds, options, limit)]
    rows = []
    for dataset in sorted(sets, key=lambda name: -(folder / f"{name}.h5ad").stat().st_size):
        first = {"dataset": dataset, "input_kind": kinds[dataset], "setting": ""}
        first |= {"group": group_of.get(dataset, ""), "study": study_of.get(dataset, "")}
        paper = papers.get(dataset, "")
        first |= {"paper": paper, "whole": wholeness(folder / f"{dataset}.h5ad", paper) if paper else ""}
        rows += [{**first, **task} for task in tasks]
        for name in studies:
            parameter, values, other = STUDIES[name]
            settings = {"setting": ";".join(f"{parameter}={value}{other}" for value in values)}
            rows += [{**first, **task, **settings} for task in _tasks(("cicl",), ["given"], n_seeds, {}, limit)]
    return rows, left_out


def _chosen(names: list[str], known: list[str], what: str) -> list[str]:
    for name in names:
        if name not in known:
            raise InputError(f"there is no {what} '{name}' in the benchmark: choose from {', '.join(known)}")
    return [name for name in known if name in names] if names else known


def why_not(name: str, tracks: Sequence[str], options: dict[str, str]) -> str | None:
    """Why a method cannot be run here on any of the tracks, None where it can."""
    method = METHODS[name]
    if not set(method.tracks) & set(tracks):
        return f"it has no way to run with k {tracks[0]}, but with k {method.tracks[0]}"
    if isinstance(method, Program):
        return reason(method, options)
    if method.package and find_spec(method.package) is None:
        return f"the Python package {method.package} is not installed (pip install '.[benchmark]')"
    return None


def _refuse_source(source: Path, folder: Path, sets: list[str], title: str) -> None:
    """Types that a program learns from must not be those that it is scored on."""
    for dataset in sets:
        path = folder / f"{dataset}.h5ad"
        if source.stem == dataset or source.samefile(path) or filecmp.cmp(source, path, shallow=False):
            raise InputError(
                f"the source of {title}, {source}, is the data set {dataset} of the benchmark: give another source, "
                "or choose other sets"
            )


def _groups(methods: list[str]) -> list[tuple[str, ...]]:
    """Methods that go into one task: those that cut one slow embedding or share an ensemble, others by themselves."""
    scvi = tuple(name for name in methods if METHODS[name].package == "scvi")
    ensemble = tuple(name for name in methods if name in WITH_ENSEMBLE)
    return [group for group in (ensemble, *((name,) for name in methods if name not in ensemble + scvi), scvi) if group]


def _tasks(
    group: tuple[str, ...], tracks: list[str], n_seeds: int, options: dict[str, dict[str, str]], limit: float
) -> list[dict[str, str]]:
    own = {}
    if isinstance(METHODS[group[0]], Program):
        own = {"limit": f"{limit:g}", **options.get(group[0], {})}
    task = {"methods": ",".join(group), "code": code_version(*group, options=own)}
    task["options"] = ";".join(f"{key}={value}" for key, value in own.items())
    if isinstance(METHODS[group[0]], Cicl):
        return [{**task, "tracks": ",".join(tracks), "seeds": str(seed)} for seed in range(n_seeds)]
    return [{**task, "tracks": ",".join(tracks), "seeds": ",".join(map(str, range(n_seeds)))}]


def code_version(*names: str, options: dict[str, str] | None = None, engine: Path = Path(__file__).parents[1]) -> str:
    """Digest of all that the results of methods depend on here, code and packages: with another one they run anew.

    Of a program these are its script, the options, and what is installed where they say.
    """
    files, configs = {engine / file for file in SHARED_FILES}, []
    packages: set[str] = set()
    for method in map(METHODS.__getitem__, names):
        if isinstance(method, Cicl):
            files |= {
                path for path in engine.glob("*/**/*.py") if path.relative_to(engine).parts[0] not in WITHOUT_EFFECT
            }
            configs += [config_of(method, {}, n_cells=n_cells, on_gpu=False) for n_cells in (1, 10**9)]
            packages.update(CICL_PACKAGES)
        elif isinstance(method, Program):
            ending = ".R" if method.is_r else ".py"
            files |= {engine / (f"{file}{ending[1:]}" if file.endswith(".") else file) for file in PROGRAMS_FILES}
            files.add(engine / "benchmark" / "programs" / method.script)
            configs.append(installed_version(method, options or {}))
            packages.add("scanpy")
        else:
            files |= {engine / file for file in RIVALS_FILES}
            packages.update(RIVALS_PACKAGES)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files)))
    digest.update(repr(configs).encode())
    for package in sorted(packages):
        try:
            digest.update(f"{package} {version(package)}".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()[:12]


def missing(rows: list[dict[str, str]], results: list[dict[str, Any]]) -> list[str]:
    """Describe, a line each, what the plan has and the results have not; a rival may have run one seed only."""
    done = {(row["dataset"], row["method"], row["setting"], row["track"], int(row["seed"])) for row in results}
    lost = []
    for row in rows:
        for name, setting, track in product(*(row[key].split(by) for key, by in PARTS.items())):
            run = (row["dataset"], name, setting, track)
            seeds = [int(seed) for seed in row["seeds"].split(",")]
            if track in METHODS[name].tracks and not any((*run, seed) in done for seed in seeds):
                what = " ".join(filter(None, (TITLES[name], setting)))
                lost.append(f"{what} on {row['dataset']}, k {track}, seed {row['seeds']}")
    return lost
