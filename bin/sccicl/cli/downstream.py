"""Commands for what comes after the clusters: markers, cell types, files for other tools."""

from pathlib import Path
from typing import Any

import click

from ..config import LARGEST
from ..errors import InputError
from ..runtime.files import write_json
from .group import main
from .options import (
    annotation_options,
    existing,
    fit_config_options,
    id_option,
    outdir_option,
    prepare_config_options,
    read_training,
    run_options,
    sample_id,
)
from .step_files import check_replaceable, read_step_file


@main.command()
@click.argument("path", metavar="CLUSTERED", type=existing)
@click.option(
    "--max-p", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Highest adjusted p value kept."
)
@click.option(
    "--min-fraction",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Least share of a cluster's cells that must express a marker.",
)
@click.option(
    "--max-cells",
    type=click.IntRange(10, LARGEST),
    default=20_000,
    show_default=True,
    help="Test at most this many cells, equally many of each cluster.",
)
@outdir_option
@id_option
def markers(path: Path, max_p: float, min_fraction: float, max_cells: int, outdir: Path, given_id: str | None) -> None:
    """Find marker genes of the clusters: writes <id>.markers.csv, .json, a dot plot and a heat map."""
    from ..downstream.markers import find_markers
    from ..steps.markers import save_markers

    adata, sample = read_step_file(path, "k"), sample_id(path, given_id)
    table = find_markers(adata, max_p=max_p, min_fraction=min_fraction, max_cells=max_cells)
    write_json(save_markers(adata, table, outdir, sample), outdir / f"{sample}.markers.json")


@main.command()
@click.argument("path", metavar="CLUSTERED", type=existing)
@annotation_options
@click.option(
    "--cluster-names", type=existing, help="CSV with the columns cluster and label, as downloaded from the report."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1; for --reference-model.")
@outdir_option
@id_option
def annotate(path: Path, outdir: Path, given_id: str | None, **options: Any) -> None:
    """Name the cell types of cells and clusters: writes <id>.annotation.csv and .json."""
    from ..steps.run import SOURCES

    if not any(options[name] for name in SOURCES):
        raise InputError(
            "nothing to annotate with: give --celltypist-model, --marker-list, --reference-model or --cluster-names"
        )
    from ..steps.annotate import save_annotation

    adata, sample = read_step_file(path, "k"), sample_id(path, given_id)
    write_json(save_annotation(adata, outdir, sample, **options), outdir / f"{sample}.annotation.json")


@main.command(name="label-model")
@click.argument("path", metavar="MODEL", type=existing)
@click.option("--labels", "labels_file", type=existing, required=True, help="CSV with the columns cluster and label.")
@outdir_option
@id_option
def label_model(path: Path, labels_file: Path, outdir: Path, given_id: str | None) -> None:
    """Name the clusters of a saved model, for --reference-model: writes <id>.labelled.model.pt."""
    from ..downstream.annotate_reference import read_labels, relabel
    from ..io.model_file import ModelFile

    sample = sample_id(path.with_name(path.name.removesuffix(".pt")), given_id)
    model = relabel(ModelFile.load(path), read_labels(labels_file), labels_file.name)
    model.save(outdir / f"{sample}.labelled.model.pt")


@main.command()
@click.argument("path", metavar="H5AD", type=existing)
@click.option(
    "--tools",
    default="cellxgene,seurat,loupe",
    show_default=True,
    help="cellxgene, seurat, loupe, with commas between.",
)
@outdir_option
@id_option
def export(path: Path, tools: str, outdir: Path, given_id: str | None) -> None:
    """Write a finished sample for other tools: an h5ad for CELLxGENE, a folder for Seurat, CSV files for Loupe."""
    from ..downstream.export import export_sample
    from ..numerics.ordering import in_input_order

    adata = in_input_order(read_step_file(path, "k"))
    names = [name.strip() for name in tools.split(",") if name.strip()]
    export_sample(adata, outdir, sample_id(path, given_id), names)


@main.command()
@click.argument("path", metavar="H5AD", type=existing)
@click.option("--batch-col", help="Column of obs with the batch of the cells; these are integrated.")
@click.option("--counts-layer", help="Layer of the h5ad that holds the raw counts, or 'raw'; by default X.")
@run_options
@prepare_config_options
@fit_config_options
@outdir_option
@id_option
def integrate(
    path: Path, batch_col: str | None, counts_layer: str | None, outdir: Path, given_id: str | None, **options: Any
) -> None:
    """Integrate the batches of an h5ad, and cluster them: writes <id>.h5ad with X_emb, and tables by cell."""
    from ..steps.fit import parse_n_clusters
    from ..steps.integrate import integrate, write_integration

    asked = read_training(options)
    prefix = sample_id(path, given_id)
    check_replaceable(outdir / f"{prefix}.h5ad", path)
    adata, model = integrate(
        path,
        prefix,
        config=asked.config,
        n_clusters=parse_n_clusters(asked.n_clusters),
        seed=asked.seed,
        device=asked.device,
        warnings=asked.warnings,
        batch_col=batch_col,
        counts_layer=counts_layer,
    )
    write_integration(adata, model, outdir, prefix)
