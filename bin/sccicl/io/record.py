"""The record of a sample, `uns["cicl"]`, and its sections: the one place that knows their keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


class _Section:
    """A frozen dataclass that is kept as a section of `uns["cicl"]`, without the fields that are None."""

    key: ClassVar[str]

    @classmethod
    def of(cls, adata: "AnnData") -> Self | None:
        """The record of a sample; None where it has none."""
        found = adata.uns.get("cicl", {}).get(cls.key)
        return None if found is None else cls.from_uns(found)

    @classmethod
    def from_uns(cls, section: Mapping[str, Any]) -> Self:
        """Read a stored section; what another version wrote beside the fields is passed over."""
        known = {item.name: section[item.name] for item in fields(cls) if item.name in section}
        return cls(**{name: value.item() if isinstance(value, np.generic) else value for name, value in known.items()})

    def to_uns(self) -> dict[str, Any]:
        """What is stored: h5ad has no None."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    def put(self, adata: "AnnData") -> None:
        """Make this the record of a sample."""
        adata.uns.setdefault("cicl", {})[self.key] = self.to_uns()


@dataclass(frozen=True)
class Preparation(_Section):
    """What was read and how it was prepared, `uns["cicl"]["prepare"]`.

    Attributes
    ----------
    input, input_sha256
        Name of the file, and the SHA-256 of all that was read.
    input_kind, counts_layer, cells_in
        As of `read.read_counts`.
    label_col, batch_col
        Columns of obs with known cell types and with batches.
    n_cells_read, n_genes_read, n_cells_dropped, n_genes_dropped
        Cells and genes before, and those of them that have no counts.
    n_genes, gene_selection, max_value, size_factor_median
        As of `prepare.prepare`: genes that are selected, and the median library size.
    integrate
        Whether the batches are integrated.
    """

    key = "prepare"

    input: str = "the AnnData"
    input_kind: str = "counts"
    counts_layer: str | None = None
    cells_in: str | None = None
    input_sha256: str | None = None
    label_col: str | None = None
    batch_col: str | None = None
    n_cells_read: int | None = None
    n_genes_read: int | None = None
    n_cells_dropped: int | None = None
    n_genes_dropped: int | None = None
    n_genes: int | None = None
    gene_selection: str | None = None
    max_value: float | None = None
    size_factor_median: float | None = None
    integrate: bool | None = None

    @classmethod
    def of(cls, adata: "AnnData") -> "Preparation":
        """The record of a sample; one of defaults where it has none."""
        return super().of(adata) or cls()

    @classmethod
    def update(cls, adata: "AnnData", **changes: Any) -> "Preparation":
        """Change fields of the record of a sample, in place."""
        record = replace(cls.of(adata), **changes)
        record.put(adata)
        return record


@dataclass(frozen=True)
class QualityControl(_Section):
    """What quality control took away, `uns["cicl"]["qc"]`.

    Attributes
    ----------
    cells_in, cells_out, genes_in, genes_out
        Numbers before and after.
    removed
        Cells that each limit took; one that fails several counts for the first of them.
    thresholds
        The limits as they are used.
    histograms
        `edges`, and the numbers of cells between them, `all` and `kept`, of each quantity.
    doublets
        Cells that are marked as doublets; None where none were looked for.
    doublet_parts
        Random parts that doublets were looked for in, each by itself; None where it was done in all cells at once.
    samples
        Of samples that were joined, the section of each.
    """

    key = "qc"

    cells_in: int
    cells_out: int
    genes_in: int
    genes_out: int
    removed: dict[str, int] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    doublets: int | None = None
    doublet_parts: int | None = None
    samples: dict[str, Any] | None = None


@dataclass(frozen=True)
class Parameters(_Section):
    """Parameters of the training that texts name, `uns["cicl"]["params"]`; see `config.Config`.

    None where the file does not say, as one of another version may not.
    """

    key = "params"

    n_genes: int | None = None
    encoder: str | None = None
    n_layers: int | None = None
    view: str | None = None
    mask_fraction: float | None = None
    noise_sd: float | None = None
    noise_fraction: float | None = None
    neighbours: int | None = None
    pseudo_labels: str | None = None
    temperature: float | None = None
    instance_loss_weight: float | None = None
    cluster_loss_weight: float | None = None
    cluster_loss: str | None = None
    epochs: int | None = None
    min_steps: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Markers(_Section):
    """Marker genes, `uns["cicl"]["markers"]`: a row of `table` for each, and the limits that they meet."""

    key = "markers"

    max_p: float | None = None
    min_fraction: float | None = None
    table: "pd.DataFrame | None" = None


@dataclass(frozen=True)
class AnnotationSource(_Section):
    """Where the cell types of one way of annotation come from, a section of `uns["cicl"]["annotation"]`.

    `clusters` has a row for each cluster: cluster, label, share and confidence. The other fields are those that the
    way has: the file, its version and column, and what is in it.
    """

    key = "annotation"

    file: str | None = None
    version: str | None = None
    column: str | None = None
    min_confidence: float | None = None
    n_types: int | None = None
    n_genes: int | None = None
    n_features: int | None = None
    n_cells: int | None = None
    n_unknown: int | None = None
    clusters: "pd.DataFrame | None" = None


@dataclass(frozen=True)
class Record(_Section):
    """The whole of `uns["cicl"]`, as far as reports read it; empty or None where no step wrote it.

    Attributes
    ----------
    params, versions, stages
        As stored: parameters, versions of packages, and seconds and memory of each step.
    stability, valley
        Of each cluster, (clusters,), and of each pair, (clusters, clusters): see `clustering.stability` and `.gaps`.
    partitions
        Numbers of clusters of `obsm["cicl_partitions"]`.
    """

    id: str | None = None
    seed: int | None = None
    device: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    prepare: dict[str, Any] = field(default_factory=dict)
    qc: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    k: dict[str, Any] = field(default_factory=dict)
    stability: np.ndarray | None = None
    valley: np.ndarray | None = None
    partitions: np.ndarray | None = None
    evolution: dict[str, Any] | None = None
    markers: dict[str, Any] | None = None
    annotation: dict[str, dict[str, Any]] = field(default_factory=dict)
    reads: dict[str, Any] = field(default_factory=dict)
    cells: dict[str, Any] = field(default_factory=dict)
    warnings: Any = None

    @classmethod
    def of(cls, adata: "AnnData") -> "Record":
        """The record of a sample; an empty one where it has none."""
        return cls.from_uns(adata.uns.get("cicl", {}))

    @property
    def parameters(self) -> Parameters:
        """The parameters that texts name."""
        return Parameters.from_uns(self.params)

    @property
    def preparation(self) -> Preparation:
        """What was read and how it was prepared."""
        return Preparation.from_uns(self.prepare)

    @property
    def found_markers(self) -> Markers | None:
        """The marker genes; None where none were searched for."""
        return None if self.markers is None else Markers.from_uns(self.markers)

    @property
    def sources(self) -> dict[str, AnnotationSource]:
        """Sources of the cell types by the way of annotation."""
        return {method: AnnotationSource.from_uns(source) for method, source in self.annotation.items()}
