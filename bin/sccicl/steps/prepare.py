"""Step prepare: read, check and prepare a sample, in memory or from file to file."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anndata import AnnData

from ..config import Config, InputKind
from ..errors import InputError
from ..io.gene_names import add_symbols_column
from ..io.plausibility import check_plausible
from ..io.read import check_columns, read_counts, take_record
from ..io.read_backed import stored_matrix
from ..io.record import Preparation, QualityControl
from ..io.write_h5ad import write_h5ad
from ..numerics.ordering import sort_by_name
from ..preprocess import prepare_backed
from ..preprocess.prepare import prepare
from ..preprocess.qc import Limits, quality_control
from ..runtime.profiling import stage
from ..runtime.progress import log


def prepare_counts(
    counts: AnnData,
    input_kind: InputKind,
    config: Config,
    *,
    limits: Limits | None = None,
    batch_col: str | None = None,
    integrate: bool = False,
) -> AnnData:
    """Prepare validated counts as `config` says, with the cells and genes in the order of their names.

    Cells outside `limits` are left out. With `integrate` the batches of `batch_col` are integrated.
    """
    prepared = sort_by_name(counts)
    if limits is not None:
        prepared = quality_control(prepared, limits, input_kind=input_kind)
    prepared = prepare(
        prepared,
        input_kind=input_kind,
        n_genes=config.n_genes,
        max_value=config.max_value,
        gene_selection=config.gene_selection,
    )
    if integrate:
        # Of the preparation it alone needs torch, which takes more memory than a block of cells.
        from ..preprocess.batch_correction import integrate_batches

        integrate_batches(prepared, batch_col, config)
    return prepared


def prepare_sample(
    path: str | Path,
    sample_id: str,
    *,
    config: Config,
    limits: Limits | None = None,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    cells_in: str | None = None,
    label_col: str | None = None,
    batch_col: str | None = None,
    integrate: bool = False,
) -> AnnData:
    """Read, check and prepare one sample; the columns are checked here so that a wrong name costs no training.

    Cells outside `limits` are left out, unless an earlier step has done its quality control.
    """
    stages: dict[str, dict[str, float]] = {}
    with stage("prepare", stages):
        adata = read_counts(path, input_kind=input_kind, counts_layer=counts_layer, cells_in=cells_in)
        take_record(adata, Path(path))
        add_symbols_column(adata)
        check_plausible(adata, input_kind)
        if integrate and batch_col is None:
            raise InputError("--integrate needs the obs column of the batches: name it with --batch-col")
        check_columns(adata, label_col=label_col, batch_col=batch_col)
        if QualityControl.of(adata) is not None:
            limits = None
        prepared = prepare_counts(adata, input_kind, config, limits=limits, batch_col=batch_col, integrate=integrate)
    prepared.uns["cicl"].update(id=sample_id, stages=stages)
    Preparation.update(prepared, label_col=label_col, batch_col=batch_col)
    return prepared


def prepare_to_file(
    path: Path,
    sample_id: str,
    outfile: Path,
    *,
    config: Config,
    memory_gb: float,
    input_sha256: str,
    **options: Any,
) -> list[str]:
    """Read and prepare one sample into the h5ad `outfile`, within about `memory_gb` of memory; gives the warnings.

    A matrix that is too big for that is prepared from file to file, if its format can be read in blocks and no
    integration is asked for, which looks at all cells at once. `options` are those of `prepare_sample`.
    """
    max_bytes = int(memory_gb * 2**30)
    in_blocks = {name: options[name] for name in options if name != "integrate"}
    with ExitStack() as stack:
        try:
            matrix = stack.enter_context(stored_matrix(path, options.get("counts_layer")))
        except Exception:  # whatever is wrong with the file, the reader of whole files says it best
            matrix = None
        if options.get("cells_in") == "columns":
            matrix = None
        if matrix is not None and not prepare_backed.fits_in_memory(matrix, config, max_bytes):
            if not options.get("integrate"):
                return prepare_backed.write_prepared(
                    matrix, path, outfile, sample_id, input_sha256, config=config, max_bytes=max_bytes, **in_blocks
                )
            log(f"{path} takes more than {memory_gb:g} GB; for its integration it is read as a whole")
    prepared = prepare_sample(path, sample_id, config=config, **options)
    Preparation.update(prepared, input_sha256=input_sha256)
    write_h5ad(prepared, outfile)
    return list(map(str, prepared.uns["cicl"].get("warnings", ())))
