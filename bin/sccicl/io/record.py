"""Records of the preparation and of the quality control, and where they are kept: sections of `uns["cicl"]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
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
    samples: dict[str, Any] | None = None
