"""One data set: methods find clusters on cells without labels, then the clusters are scored."""

import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._version import __version__
from ..config import InputKind
from ..model.checkpoint import Checkpoint
from ..runtime.profiling import stage
from ..runtime.progress import log
from . import rivals
from .accuracy import SCORES, score
from .dataset import n_types, read_types, write_blind
from .methods import METHODS, TITLES, Cicl, Rival, Track, config_of
from .program import Program, ProgramError, run_program, sampled, write_exchange

# A rival that takes longer runs one seed only.
SLOW_SECONDS = 300.0
COLUMNS = (
    *("dataset", "method", "setting", "track", "seed", "n_cells", "k", "n_clusters"),
    *("ari", "nmi", "ami", "acc", "seconds", "peak_memory_mb", "cells_used", "version", "failure"),
)


class Found(NamedTuple):
    """`clusters` (cells that were kept,), `cells` their rows in the data set; `seconds`, `memory` (MB) to find them.

    `version` is that of the software of others; `failure` says why there are no clusters.
    """

    clusters: np.ndarray
    cells: np.ndarray
    seconds: float
    memory: float
    version: str = ""
    failure: str = ""


def run(
    path: Path,
    methods: tuple[str, ...],
    tracks: tuple[Track, ...],
    seeds: tuple[int, ...],
    *,
    input_kind: InputKind = "counts",
    settings: tuple[dict[str, str], ...] = ({},),
    device: str = "auto",
    options: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Rows of results.tsv for every seed, method, setting and track; a method is left out of a track it cannot do.

    No method sees a label: all work on a copy that has none. The labels give k of the track `given`, and the scores.
    Seconds begin with the reading of the file, when Python's packages are loaded. A program that fails has a row
    without scores that says why.

    Parameters
    ----------
    path
        h5ad with the known types in `obs["cell_type"]`.
    settings
        Parameters of CICL to change, one run for each.
    options
        Of the programs that are run, see `program.py`.
    """
    types = read_types(path)
    load_packages(methods)
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        blind = Path(folder) / path.name
        write_blind(path, blind)
        rival, program = rival_runner(blind, input_kind), program_runner(blind, Path(folder), input_kind, options or {})
        ensembles: dict[int, KnownEnsemble] = {}
        slow: dict[str, int] = {}
        for seed, name, setting, track in _runs(methods, settings, tracks, seeds):
            # The other track of the same seed is run.
            if slow.get(name, seed) != seed:
                continue
            method = METHODS[name]
            k = n_types(types) if track == "given" else None
            if isinstance(method, Cicl):
                found = run_cicl(method, blind, k, seed, setting, input_kind, device, len(types), ensembles)
            else:
                found = (program if isinstance(method, Program) else rival)(method, k, seed)
                if found.seconds > SLOW_SECONDS and len(seeds) > 1:
                    slow[name] = seed
                    log(f"{name} took {found.seconds:.0f} s on {path.stem}: only seed {seed} is run")
            row = {
                "dataset": path.stem,
                "method": name,
                "setting": ",".join(f"{key}={value}" for key, value in setting.items()),
                "track": track,
                "seed": seed,
                "n_cells": len(types),
                "k": n_types(types),
                "seconds": round(found.seconds, 2),
                "peak_memory_mb": round(found.memory, 1),
                "cells_used": len(found.cells),
                "version": found.version,
                "failure": found.failure,
            }
            what = f"{path.stem}, {TITLES[name]}, k {track}, seed {seed}"
            if found.failure:
                rows.append({**row, **dict.fromkeys(SCORES, ""), "seconds": "", "peak_memory_mb": ""})
                log(f"{what}: no clusters, {found.failure}")
            else:
                rows.append({**row, **score(types.to_numpy()[found.cells], found.clusters)})
                log(f"{what}: ARI {rows[-1]['ari']:.3f} in {found.seconds:.0f} s")
    return rows


def load_packages(methods: tuple[str, ...]) -> None:
    """Import what the methods need, which takes seconds and is none of their work."""
    import scanpy  # noqa: F401
    import sklearn.cluster  # noqa: F401

    for package in {METHODS[name].package for name in methods} - {None}:
        import_module(package)
    if any(isinstance(METHODS[name], Cicl) for name in methods):
        import torch  # noqa: F401


def _runs(
    methods: tuple[str, ...], settings: tuple[dict[str, str], ...], tracks: tuple[Track, ...], seeds: tuple[int, ...]
) -> Iterator[tuple[int, str, dict[str, str], Track]]:
    for seed, name, setting, track in product(seeds, methods, settings, tracks):
        method = METHODS[name]
        fixed = isinstance(method, Program) and method.fixed_seed
        if track in method.tracks and not (fixed and seed != seeds[0]):
            yield seed, name, setting, track


class KnownEnsemble(NamedTuple):
    """Components of an ensemble, and the seconds that it took to find them."""

    embeddings: Any
    seconds: float


class SharedEnsemble(Checkpoint):
    """Keeps the ensemble of one fit for others with the same seed; its seconds are counted for each of them."""

    def __init__(self, ensembles: dict[int, KnownEnsemble], key: int):
        super().__init__(None)
        self._known, self._key, self.saved_seconds = ensembles, key, 0.0

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """See `Checkpoint`."""
        if name != "ensemble":
            return super().remember(name, make)
        if self._key in self._known:
            self.saved_seconds = self._known[self._key].seconds
        else:
            start = time.perf_counter()
            embeddings = make()
            self._known[self._key] = KnownEnsemble(embeddings, time.perf_counter() - start)
        return self._known[self._key].embeddings


def run_cicl(
    method: Cicl,
    blind: Path,
    k: int | None,
    seed: int,
    settings: dict[str, str],
    input_kind: InputKind,
    device: str,
    n_cells: int,
    ensembles: dict[int, KnownEnsemble],
) -> Found:
    """Run the engine's steps in memory, from the file to the clusters."""
    from ..runtime.device import choose_device
    from ..steps.cluster import cluster_sample
    from ..steps.fit import fit_sample
    from ..steps.prepare import prepare_sample

    chosen = choose_device(device)
    config = config_of(method, settings, n_cells=n_cells, on_gpu=chosen.type == "cuda")
    prepared = prepare_sample(blind, blind.stem, config=config, input_kind=input_kind)
    shared = SharedEnsemble(ensembles, seed)
    fitted = fit_sample(prepared, k or "auto", config=config, seed=seed, device=chosen, checkpoint=shared, quiet=True)
    cluster_sample(prepared, fitted)
    stages = prepared.uns["cicl"]["stages"].values()
    return Found(
        prepared.obs["cicl"].astype(str).to_numpy(),
        prepared.obs_names.astype(int).to_numpy(),
        sum(taken["seconds"] for taken in stages) + shared.saved_seconds,
        max(taken["peak_memory_mb"] for taken in stages),
        f"CICL {__version__}",
    )


def rival_runner(blind: Path, input_kind: InputKind) -> Callable[[Rival, int | None, int], Found]:
    """A function (rival, k, seed) -> Found that reads the cells once and makes every embedding once.

    What is shared is counted for each: seconds are those of a run by itself.
    """
    read: dict[str, dict[str, float]] = {}
    shared: dict[tuple[Callable, int], tuple[Any, dict[str, float]]] = {}
    cells = None

    def find(rival: Rival, k: int | None, seed: int) -> Found:
        nonlocal cells
        if cells is None:
            with stage("read", read):
                cells = rivals.read_cells(str(blind), input_kind)
        stages: dict[str, dict[str, float]] = dict(read)
        package = "torch" if rival.title else "scvi-tools" if rival.package == "scvi" else "scanpy"
        if (rival.embed, seed) not in shared:
            with stage("embed", stages):
                embedding = rival.embed(cells, seed)
            shared[rival.embed, seed] = embedding, stages["embed"]
        embedding, stages["embed"] = shared[rival.embed, seed]
        with stage("cut", stages):
            clusters = rival.cut(embedding, k, seed)
        return Found(
            clusters,
            cells.obs_names.astype(int).to_numpy(),
            sum(taken["seconds"] for taken in stages.values()),
            max(taken["peak_memory_mb"] for taken in stages.values()),
            f"{package} {version(package)}",
        )

    return find


def program_runner(
    blind: Path, folder: Path, input_kind: InputKind, options: dict[str, str]
) -> Callable[[Program, int | None, int], Found]:
    """A function (program, k, seed) -> Found that writes the files for programs once for each number of cells.

    Seconds are those that the program counts itself, when its libraries are loaded. A run that fails has them as well,
    so that one that took long is not tried with every seed.
    """
    cells = None

    def find(program: Program, k: int | None, seed: int) -> Found:
        nonlocal cells
        if cells is None:
            cells = rivals.read_cells(str(blind), input_kind)
        most = int(float(options["max_cells"])) if "max_cells" in options else program.max_cells
        chosen = sampled(cells.n_obs, most)
        exchange = folder / f"exchange-{len(chosen)}"
        if not exchange.exists():
            exchange.mkdir()
            write_exchange(cells[chosen], exchange, input_kind)
        rows = cells.obs_names.astype(int).to_numpy()[chosen]
        start = time.perf_counter()
        try:
            found = run_program(program, exchange, k, seed, options, n_cells=len(chosen))
        except ProgramError as error:
            return Found(np.array([]), rows, time.perf_counter() - start, 0.0, failure=str(error))
        return Found(found.labels, rows, found.seconds, found.memory, found.version)

    return find
