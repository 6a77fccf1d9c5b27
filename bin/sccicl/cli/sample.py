"""The command line: options in, files out; the work is done in `steps`."""

from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from ..runtime.checksums import combined, input_sums, write_sums
from ..runtime.device import use_device
from ..runtime.files import atomic_path, write_json
from .group import main
from .options import (
    ANNOTATION_OPTIONS,
    annotation_options,
    batch_option,
    checkpoint_options,
    existing,
    fit_config_options,
    history_option,
    id_option,
    integrate_option,
    label_option,
    outdir_option,
    prepare_config_options,
    qc_options,
    read_config,
    read_limits,
    read_options,
    read_training,
    run_options,
    sample_id,
    show_warnings,
    tsne_option,
)
from .step_files import check_replaceable, read_metrics, read_step_file


@main.command()
@click.argument("path", metavar="INPUT", type=existing)
@outdir_option
@id_option
@label_option
@batch_option
@integrate_option
@read_options
@qc_options
@run_options
@history_option
@tsne_option
@checkpoint_options
@prepare_config_options
@fit_config_options
@annotation_options
def run(
    path: Path, outdir: Path, given_id: str | None, label_col: str | None, batch_col: str | None, **options: Any
) -> None:
    """Cluster one sample end to end: counts in, clusters, markers, figures and report out.

    INPUT is an h5ad, a 10x .h5, a 10x mtx folder, a zarr, a loom, or a csv/tsv (.gz) of counts.
    """
    from ..io.record import Preparation
    from ..steps.annotate import check_annotation
    from ..steps.cluster import cluster_sample
    from ..steps.fit import fit_sample, open_checkpoint, parse_numbers
    from ..steps.prepare import prepare_sample
    from ..steps.run import write_sample

    annotation = {name: options.pop(name) for name in ANNOTATION_OPTIONS}
    evolution, with_tsne = options.pop("evolution"), options.pop("with_tsne")
    check_annotation(**annotation)
    asked = read_training(options)
    checkpoints = {"folder": options.pop("checkpoint_dir") or outdir, "minutes": options.pop("checkpoint_minutes")}
    limits = read_limits(options)
    sample = sample_id(path, given_id)
    check_replaceable(outdir / f"{sample}.h5ad", path)
    prepared = prepare_sample(
        path, sample, config=asked.config, limits=limits, label_col=label_col, batch_col=batch_col, **options
    )
    show_warnings(prepared.uns["cicl"])
    Preparation.update(prepared, input_sha256=combined(input_sums(path)))
    n_clusters, others = parse_numbers(asked.n_clusters, prepared.n_obs)
    settings = {"config": asked.config, "seed": asked.seed, "device": asked.device}
    checkpoint = open_checkpoint(prepared, n_clusters, **settings, **checkpoints)
    more = {"others": others, "evolution": evolution, "checkpoint": checkpoint, "warnings": asked.warnings}
    with checkpoint.signals():
        fitted = fit_sample(prepared, n_clusters, **settings, **more)
    model = cluster_sample(prepared, fitted)
    found = write_sample(prepared, model, outdir, sample, label_col, batch_col, annotation, with_tsne=with_tsne)
    checkpoint.remove()
    click.echo(f"report: {outdir / 'cicl_report.html'}")
    click.echo(found)


@main.command()
@click.argument("path", metavar="INPUT", type=existing)
@outdir_option
@id_option
@label_option
@batch_option
@integrate_option
@read_options
@click.option(
    "--memory-gb",
    type=click.FloatRange(min=1),
    default=4.0,
    show_default=True,
    help="Memory to use, about; an h5ad, zarr or 10x .h5 that needs more is prepared in blocks of cells.",
)
@qc_options
@prepare_config_options
def prepare(path: Path, outdir: Path, given_id: str | None, preset: str, memory_gb: float, **options: Any) -> None:
    """Read counts, normalise, select genes: writes <id>.prepared.h5ad and <id>.inputs.tsv, the input's checksums."""
    from ..steps.prepare import prepare_to_file

    config = read_config(preset, options)
    limits = read_limits(options)
    sample = sample_id(path, given_id)
    outfile = outdir / f"{sample}.prepared.h5ad"
    sums = input_sums(path) if path.exists() else []
    settings = {"config": config, "limits": limits, "memory_gb": memory_gb, "input_sha256": combined(sums)}
    show_warnings({"warnings": prepare_to_file(path, sample, outfile, **settings, **options)})
    write_sums(sample, sums, outdir)


@main.command()
@click.argument("path", metavar="PREPARED", type=existing)
@click.option("--fit", "fit_file", type=existing, required=True, help="The <id>.fit.pt of the same sample.")
@click.option(
    "--n-clusters", default="auto", show_default=True, help="Another number of clusters than the training used."
)
@click.option("--label-col", help="Column of obs whose labels the model keeps for mapping; used for nothing else.")
@outdir_option
@id_option
def cluster(
    path: Path, fit_file: Path, n_clusters: str, label_col: str | None, outdir: Path, given_id: str | None
) -> None:
    """Cluster the embedded cells: writes <id>.clustered.h5ad, .clusters.csv, .embedding.parquet, .model.pt."""
    from ..io.model_file import FitFile
    from ..io.read import check_columns
    from ..io.write_h5ad import write_h5ad
    from ..steps.cluster import cluster_sample, write_clusters
    from ..steps.fit import parse_n_clusters

    fitted = FitFile.load(fit_file)
    prepared = read_step_file(path, "prepare")
    check_columns(prepared, label_col=label_col)
    model = cluster_sample(prepared, fitted, n_clusters=parse_n_clusters(n_clusters, prepared.n_obs))
    sample = sample_id(path, given_id)
    write_clusters(prepared, model, outdir, sample, label_col)
    write_h5ad(prepared, outdir / f"{sample}.clustered.h5ad")


@main.command()
@click.argument("path", metavar="CLUSTERED", type=existing)
@label_option
@outdir_option
@id_option
def score(path: Path, label_col: str | None, outdir: Path, given_id: str | None) -> None:
    """Score the clusters: writes <id>.metrics.json.

    It has ARI, NMI and AMI where labels are known, the silhouette, and seconds and peak memory of every step.
    """
    from ..steps.score import score_sample

    metrics = score_sample(read_step_file(path, "k"), label_col=label_col)
    write_json(metrics, outdir / f"{sample_id(path, given_id)}.metrics.json")


@main.command()
@click.argument("path", metavar="CLUSTERED", type=existing)
@click.option(
    "--metrics", "metrics_file", type=existing, help="The <id>.metrics.json, for the MultiQC file and titles."
)
@click.option("--markers", "markers_file", type=existing, help="The <id>.markers.json of step markers.")
@click.option("--annotation", "annotation_file", type=existing, help="The <id>.annotation.json of step annotate.")
@tsne_option
@label_option
@batch_option
@outdir_option
@id_option
def plot(
    path: Path,
    metrics_file: Path | None,
    markers_file: Path | None,
    annotation_file: Path | None,
    with_tsne: bool,
    label_col: str | None,
    batch_col: str | None,
    outdir: Path,
    given_id: str | None,
) -> None:
    """Draw the sample: writes <id>.h5ad with UMAP, figures as PNG and <id>_mqc.json."""
    from ..downstream.records import attach_records
    from ..io.read import check_columns
    from ..steps.plot import plot_to_files

    sample = sample_id(path, given_id)
    target = outdir / f"{sample}.h5ad"
    if not (target.is_file() and target.samefile(path)):  # a finished sample can be drawn again
        check_replaceable(target, path)
    adata = read_step_file(path, "k")
    check_columns(adata, label_col=label_col, batch_col=batch_col)
    metrics = read_metrics(metrics_file) if metrics_file else None
    attach_records(adata, markers_file, annotation_file)
    plot_to_files(adata, outdir, sample, label_col, batch_col, metrics, with_tsne=with_tsne)


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=existing)
@click.option("--title", default="CICL report", show_default=True, help="Title of the report.")
@click.option(
    "--files-at",
    default="",
    help="Folder of a sample's files, as the report links to them: '../{id}/', say. Default: no links.",
)
@outdir_option
def report(files: tuple[Path, ...], title: str, files_at: str, outdir: Path) -> None:
    """Write one HTML report of all samples from their <id>.h5ad and <id>.metrics.json: cicl_report.html.

    Writes cicl_summary.txt too: what was found, one line for each sample, and warnings.
    """
    from ..report.page import write_report

    try:
        files_at.format(id="")
    except (KeyError, IndexError, ValueError) as error:
        raise click.UsageError(f"--files-at '{files_at}' has other names in braces: use {{id}} only") from error
    metrics = {found["id"]: found for found in map(read_metrics, (file for file in files if file.suffix == ".json"))}
    samples = []
    for file in sorted(file for file in files if file.suffix != ".json"):
        adata = read_step_file(file, "k", backed=True)
        name = str(adata.uns["cicl"]["id"])
        adata.file.close()  # the samples of a run do not fit into memory together
        if name not in metrics:
            raise InputError(
                f"{file}: there is no metrics file of sample '{name}' among the files; add {name}.metrics.json"
            )
        if name in (metrics_of["id"] for _, metrics_of in samples):
            raise InputError(f"{file}: there is another h5ad of sample '{name}' among the files; give one of each")
        samples.append((file, metrics[name]))
    if not samples:
        raise InputError("no <id>.h5ad is among the files of the report; give one for each sample")
    write_report(samples, outdir / "cicl_report.html", title, files_at=files_at, summary=outdir / "cicl_summary.txt")


@main.command(name="map")
@click.argument("path", metavar="INPUT", type=existing)
@click.option("--model", "model_file", type=existing, required=True, help="The <id>.model.pt of an earlier run.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option(
    "--counts-layer", help="Layer of the h5ad that holds the raw counts, or 'raw' for its .raw; by default X."
)
@outdir_option
@id_option
def map_cells(
    path: Path, model_file: Path, device: str, counts_layer: str | None, outdir: Path, given_id: str | None
) -> None:
    """Label new cells with the clusters of a saved model: writes <id>.mapped.csv."""
    import pandas as pd

    from ..io.model_file import ModelFile
    from ..io.read import read_counts
    from ..steps.map import map_sample

    model = ModelFile.load(model_file)
    adata = read_counts(path, input_kind=model.input_kind, counts_layer=counts_layer)
    labels, confidence = map_sample(adata, model, device=use_device(device, None))
    show_warnings(adata.uns["cicl"])
    table = pd.DataFrame({"barcode": adata.obs_names, "cluster": labels, "confidence": confidence})
    with atomic_path(outdir / f"{sample_id(path, given_id)}.mapped.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")


@main.command()
@click.argument("path", metavar="RESULT", type=existing)
@click.option("--input", "original", type=existing, help="The original counts; by default those that RESULT holds.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="CPU cores to use; by default as many as RESULT was made with."
)
@outdir_option
def rerun(path: Path, original: Path | None, device: str, threads: int | None, outdir: Path) -> None:
    """Make a finished <id>.h5ad once more from its own record, and compare the clusters.

    Counts, parameters, seed and number of threads are those that RESULT holds. Writes the files that `run` writes,
    except for cell types and the figure of --history. The exit status is 1 where a cell has another cluster than
    before.
    """
    from ..steps import rerun as again
    from ..steps.cluster import cluster_sample
    from ..steps.fit import fit_sample, parse_n_clusters, parse_numbers
    from ..steps.run import write_sample

    before = read_step_file(path, "k")
    how = again.recipe(before, str(path))
    chosen = use_device(device, threads or how.threads)
    check_replaceable(outdir / f"{how.id}.h5ad", path, "give another --outdir")
    prepared = again.prepare_again(before, how, original)
    n_clusters, others = parse_numbers(how.n_clusters, prepared.n_obs)
    fitted = fit_sample(prepared, n_clusters, others=others, config=how.config, seed=how.seed, device=chosen)
    reclustered = parse_n_clusters(how.reclustered, prepared.n_obs)
    model = cluster_sample(prepared, fitted, n_clusters=reclustered)
    with_tsne = "X_tsne" in before.obsm
    summary = write_sample(prepared, model, outdir, how.id, how.label_col, how.batch_col, {}, with_tsne=with_tsne)
    click.echo(f"report: {outdir / 'cicl_report.html'}")
    click.echo(summary)
    found = again.compare(before, prepared)
    click.echo(f"{how.id}: {found}")
    if found.n_different:
        click.get_current_context().exit(1)


@main.command(name="demo-data")
@outdir_option
def demo_data(outdir: Path) -> None:
    """Write 700 PBMC that need no download, a subset without labels, and the samplesheet for both."""
    from ..steps.demo import write_demo_data

    write_demo_data(outdir)
