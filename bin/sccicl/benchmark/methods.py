"""The methods that are compared, and on which tracks."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, get_args

from ..config import PRESETS, Config
from ..errors import InputError
from . import rivals, scdha
from .program import Program

Track = Literal["given", "estimated"]
TRACKS: tuple[Track, ...] = get_args(Track)
GIVEN, ESTIMATED = ("given",), ("estimated",)
# The authors' code trains for 50 epochs, the paper for 1,000: that long where it takes minutes.
PAPER_EPOCHS, PAPER_EPOCHS_LONG, PAPER_FEW_CELLS = 50, 1000, 500


@dataclass(frozen=True)
class Rival:
    """`cut(embed(cells, seed), k, seed)` gives the clusters, (cells,); k is None on the track `estimated`."""

    track: Track
    embed: Callable[..., Any]
    cut: Callable[..., Any]
    package: str | None = None
    title: str | None = None

    @property
    def tracks(self) -> tuple[Track, ...]:
        """A rival needs the number of clusters, or has a way of its own to find it: one track."""
        return (self.track,)


@dataclass(frozen=True)
class Cicl:
    """The engine with a preset and changes to it."""

    preset: str
    changes: tuple[tuple[str, Any], ...] = ()
    package: None = None
    title: None = None
    tracks: tuple[Track, ...] = TRACKS


METHODS: dict[str, Cicl | Rival | Program] = {
    "cicl": Cicl("default"),
    "cicl-paper": Cicl("paper"),
    "cicl-instance": Cicl("default", (("cluster_loss_weight", 0.0),)),
    "pca20-kmeans": Rival("given", rivals.pca20, rivals.kmeans),
    "pca30-kmeans": Rival("given", rivals.pca30, rivals.kmeans),
    "kmeans-medoid": Rival("given", rivals.pca_of_many, rivals.kmeans_medoid),
    "leiden-k": Rival("given", rivals.neighbours, rivals.leiden_k),
    "leiden-1": Rival("estimated", rivals.neighbours, rivals.leiden_1),
    "scvi-kmeans": Rival("given", rivals.scvi_latent, rivals.kmeans, package="scvi"),
    "scvi-leiden": Rival("estimated", rivals.scvi_latent, rivals.leiden_1_of_embedding, package="scvi"),
    "scdha-reimplemented": Rival("given", scdha.embeddings, scdha.consensus, title="scDHA (reimplemented)"),
    "seurat": Program("Seurat", "seurat.R", TRACKS, ("Seurat",)),
    # 55 dense matrices of cells x cells up to 1,500 cells; above that 3.4 GB at 3,774 cells
    "simlr": Program("SIMLR", "simlr.R", GIVEN, ("SIMLR",), max_cells=4000),
    "scdha": Program("scDHA", "scdha.R", TRACKS, ("scDHA",)),
    "itclust": Program(
        "ItClust", "run_itclust.py", ESTIMATED, ("ItClust", "tensorflow"), needs=("python", "source"), may=("label",)
    ),
    "clear": Program("CLEAR", "run_clear.py", TRACKS, ("torch", "scanpy"), "CLEAR.py"),
    # Both take hours on a CPU for some thousand cells.
    "graphscc": Program(
        "GraphSCC", "run_graphscc.py", GIVEN, ("torch", "scanpy"), "GraphSCC.py", fixed_seed=True, max_cells=1000
    ),
    "scdeepcluster": Program(
        *("scDeepCluster", "run_scdeepcluster.py", TRACKS, ("torch", "scanpy"), "run_scDeepCluster.py"),
        fixed_seed=True,
        max_cells=1000,
    ),
    "sc3s": Program("sc3s", "run_sc3s.py", GIVEN, ("sc3s",)),
    "phenograph": Program("PhenoGraph", "run_phenograph.py", ESTIMATED, ("phenograph",)),
    "secuer": Program("Secuer", "run_secuer.py", ESTIMATED, ("secuer",)),
}
PROGRAMS = {name: method for name, method in METHODS.items() if isinstance(method, Program)}
# Names in tables and figures, in the order of METHODS
TITLES = {name: method.title or name for name, method in METHODS.items()}


def config_of(method: Cicl, settings: dict[str, str], *, n_cells: int, on_gpu: bool) -> Config:
    """The parameters of a run of CICL: preset, the method's changes, then `settings` (field of Config -> value)."""
    config = PRESETS[method.preset]
    if method.preset == "paper":
        config = config.changed(epochs=PAPER_EPOCHS_LONG if on_gpu or n_cells < PAPER_FEW_CELLS else PAPER_EPOCHS)
    return config.changed(**dict(method.changes)).changed(**_typed(settings))


def _typed(settings: dict[str, str]) -> dict[str, Any]:
    kinds = {item.name: item.type for item in fields(Config)}
    typed = {}
    for name, text in settings.items():
        if name not in kinds:
            raise InputError(
                f"--setting {name}={text}: CICL has no parameter {name}; take one that cicl.py fit --help lists"
            )
        kind = get_args(kinds[name])[0] if isinstance(kinds[name], UnionType) else kinds[name]
        try:
            typed[name] = kind(text) if kind in (int, float) else text
        except ValueError:
            raise InputError(f"--setting {name}={text}: the value is no {kind.__name__}; give one") from None
    return typed
