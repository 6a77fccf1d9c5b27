"""The command line: options in, files out; what is done stands in `steps`."""

import os
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from ._version import __version__
from .config import LARGEST, PRESETS, Config, Doublets, InputKind
from .ending import explained, unwound_by_sigterm
from .errors import InputError, one_line
from .runtime.device import _device
from .runtime.environment import set_environment

if TYPE_CHECKING:
    from .preprocess.qc import Limits


MAX_ID_BYTES = 200
whole_number = click.IntRange(0, LARGEST)
# What numpy and scikit-learn take, as in nextflow_schema.json
seed_number = click.IntRange(0, 2**32 - 1)
SUFFIXES = (
    ".gz",
    ".h5ad",
    ".h5",
    ".zarr",
    ".loom",
    ".csv",
    ".tsv",
    ".txt",
    ".cells",
    ".joint",
    ".prepared",
    ".clustered",
    ".fit",
    ".model",
)


def sample_id(path: Path, given: str | None) -> str:
    """`given`, or the stem of the file without the endings that steps add."""
    if given is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", given):
            raise InputError(f"--id '{given}' cannot name files: use letters, digits, '_', '.' and '-', a letter first")
        return _short_enough(given)
    # A link keeps the name that its user gave it; only `.` and `..` have to be resolved for one.
    stem = path.name if path.name not in ("", "..") else path.resolve().name
    while (suffix := Path(stem).suffix) in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return _short_enough(stem)


def _short_enough(name: str) -> str:
    """The name, if there is room for the endings of our files in the 255 bytes that file systems have for one."""
    if (size := len(os.fsencode(name))) > MAX_ID_BYTES:
        raise InputError(f"'{name}' is too long to name files ({size} bytes): give {MAX_ID_BYTES} at most with --id")
    return name


def _options(*decorators: Callable) -> Callable:
    def add(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


def _config_option(item: Any) -> Callable:
    """The click option of one field of Config; not given, the preset decides."""
    kind = item.type
    if isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    choices = item.metadata.get("choices")
    shown = ", ".join(f"{name}: {getattr(preset, item.name)}" for name, preset in PRESETS.items())
    return click.option(
        f"--{item.name.replace('_', '-')}",
        type=click.Choice(choices) if choices else kind,
        help=f"{item.metadata['help']} [{shown}]",
    )


def read_config(preset: str, options: dict[str, Any]) -> Config:
    """The preset with the options that were given on the command line; takes them out of `options`."""
    return PRESETS[preset].changed(
        **{item.name: options.pop(item.name) for item in fields(Config) if item.name in options}
    )


PREPARE_FIELDS = ("n_genes", "gene_selection", "max_value")
preset_option = click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="default",
    show_default=True,
    help="Set of parameters to start from.",
)
prepare_config_options = _options(
    preset_option, *(_config_option(item) for item in fields(Config) if item.name in PREPARE_FIELDS)
)
fit_config_options = _options(*(_config_option(item) for item in fields(Config) if item.name not in PREPARE_FIELDS))


def _folder_of_outputs(_ctx: click.Context, param: click.Parameter, folder: Path | None) -> Path | None:
    from .runtime.files import check_folder

    if folder is not None:
        check_folder(folder, param.opts[0])
    return folder


outdir_option = click.option(
    "--outdir",
    type=click.Path(path_type=Path),
    default=".",
    show_default=True,
    callback=_folder_of_outputs,
    help="Folder of the outputs.",
)
id_option = click.option(
    "--id", "given_id", help="Name of the sample and of its files; by default the input's file name."
)
label_option = click.option(
    "--label-col", help="Column of obs with known cell types; used for the score and the figures only."
)
batch_option = click.option(
    "--batch-col", help="Column of obs with the batch or sample of the cells; used for the figures."
)
integrate_option = click.option(
    "--integrate",
    is_flag=True,
    help="Cluster the batches of --batch-col jointly, so that none is a cluster of its own.",
)
read_options = _options(
    click.option(
        "--input-kind",
        type=click.Choice(get_args(InputKind)),
        default="counts",
        show_default=True,
        help="What the values are: raw counts; normalised (RPKM, TPM), treated as counts; or logarithms of such.",
    ),
    click.option(
        "--counts-layer", help="Layer of the h5ad that holds the raw counts, or 'raw' for its .raw; by default X."
    ),
)
qc_options = _options(
    click.option("--min-counts", type=whole_number, help="Counts that a cell must have."),
    click.option("--min-genes", type=whole_number, help="Genes that a cell must have."),
    click.option(
        "--max-mito", type=click.FloatRange(0, 100), help="Per cent of a cell's counts that may be mitochondrial."
    ),
    click.option(
        "--nmads",
        type=click.FloatRange(min=0),
        help="Limits that are not given: this many median absolute deviations from the median; none by default.",
    ),
    click.option("--min-cells", type=whole_number, help="Cells that a gene must be found in."),
    click.option(
        "--doublets",
        type=click.Choice(get_args(Doublets)),
        default="off",
        show_default=True,
        help="Look for doublets with Scrublet, and mark them or remove them.",
    ),
)


def read_limits(options: dict[str, Any]) -> "Limits":
    """The limits of the quality control; takes them out of `options`."""
    from .preprocess.qc import Limits

    names = ("min_counts", "min_genes", "max_mito", "nmads", "min_cells", "doublets")
    return Limits(**{name: options.pop(name) for name in names})


run_options = _options(
    click.option(
        "--n-clusters",
        default="auto",
        show_default=True,
        help="Number of clusters, or auto to estimate it; 5,8,12 trains for 5 and adds partitions into 8 and 12.",
    ),
    click.option("--seed", type=seed_number, default=0, show_default=True, help="Seed of everything random."),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda or cuda:1; auto takes a GPU where there is one.",
    ),
    click.option(
        "--allow-cpu-fallback",
        is_flag=True,
        help="Train on the CPU, with a warning, where --device asks for a GPU and none can be used.",
    ),
    click.option("--threads", type=click.IntRange(min=1), help="CPU cores to use; by default all of them."),
)
history_option = click.option(
    "--history",
    "evolution",
    is_flag=True,
    help="Keep snapshots of the training and draw how the clusters came about, <id>.evolution.png.",
)
checkpoint_options = _options(
    click.option(
        "--checkpoint-dir",
        type=click.Path(path_type=Path),
        callback=_folder_of_outputs,
        help="Folder of the checkpoint, from which the same command goes on after an end before time; by default the "
        "folder of the outputs. The file is removed when the result is written.",
    ),
    click.option(
        "--checkpoint-minutes",
        type=click.FloatRange(min=0),
        default=5.0,
        show_default=True,
        help="Minutes between two checkpoints of the training. SIGUSR1 writes one too, SIGTERM writes one and ends.",
    ),
)
existing = click.Path(path_type=Path)
ANNOTATION_OPTIONS = ("celltypist_model", "marker_list", "reference_model", "min_confidence")
annotation_options = _options(
    click.option(
        "--celltypist-model", type=existing, help="CellTypist model file (.pkl); its package must be installed."
    ),
    click.option("--marker-list", type=existing, help="CSV of cell types and their genes: B cell,CD79A,MS4A1"),
    click.option(
        "--reference-model", type=existing, help="The <id>.model.pt of an earlier run, whose labels are taken over."
    ),
    click.option(
        "--min-confidence",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Cells that are less sure of their reference label are unknown.",
    ),
)


class Commands(click.Group):
    """Commands in the order in which they are run, and errors of the input without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of definition."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an InputError ends it with one line and exit code 2, an error of the machine as `ending`."""
        try:
            with unwound_by_sigterm():
                return super().invoke(ctx)
        except InputError as error:
            click.echo(f"ERROR: {one_line(error)}", err=True)
            ctx.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if (end := explained(error) or _of_changed_file(ctx, error)) is None:
                raise
            click.echo(f"ERROR: {one_line(end[0])}", err=True)
            ctx.exit(end[1])


CHANGED_FILES = "cicl.changed_files"


def _of_changed_file(ctx: click.Context, error: BaseException) -> tuple[str, int] | None:
    """What to tell of an error after a file of a step was read that another program has changed."""
    if not (changed := ctx.meta.get(CHANGED_FILES)):
        return None
    reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
    return f"{changed[-1]} was changed by another program and lacks what it had ({reason}); run its step again", 2


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="cicl")
def main() -> None:
    """Cluster single cells by cluster-aware iterative contrastive learning.

    `run` does a sample from the counts to the report. The other commands are its steps.
    """
    set_environment()


def _training_device(options: dict[str, Any]) -> tuple[Any, list[str]]:
    """The device that the options of a training ask for, and warnings; takes them out of `options`.

    A GPU that was asked for and is not there ends the command here, before anything is read.
    """
    name, threads = options.pop("device"), options.pop("threads")
    if not options.pop("allow_cpu_fallback"):
        return _device(name, threads), []
    from .runtime.device import device_or_cpu, set_threads

    set_threads(threads)
    device, warning = device_or_cpu(name)
    if warning is not None:
        click.echo(f"WARNING: {warning}", err=True)
    return device, [] if warning is None else [warning]


class Training(NamedTuple):
    """What the options of a training ask for; `n_clusters` as text, `warnings` for the record."""

    config: Config
    seed: int
    device: Any
    n_clusters: str
    warnings: list[str]


def read_training(options: dict[str, Any]) -> Training:
    """The options of a training, checked before anything is read; takes them out of `options`."""
    from .steps import parse_numbers

    device, warnings = _training_device(options)
    n_clusters = options.pop("n_clusters")
    parse_numbers(n_clusters)
    return Training(read_config(options.pop("preset"), options), options.pop("seed"), device, n_clusters, warnings)


def _read_step_file(path: Path, key: str, *, backed: bool = False) -> Any:
    """The h5ad that an earlier step wrote; `key` of uns["cicl"] shows that it did. `backed`: counts stay there."""
    import anndata

    from .runtime.checksums import is_intact, is_sealed

    try:
        if not is_intact(path):
            raise ValueError("its checksum is wrong")
        if not is_sealed(path) and (ctx := click.get_current_context(silent=True)) is not None:
            ctx.meta.setdefault(CHANGED_FILES, []).append(path)
        adata = anndata.read_h5ad(path, backed="r" if backed else None)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give the h5ad that the step before wrote") from None
    except Exception as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: this is no h5ad, or it is damaged ({reason}); run the step before again") from error
    if key not in adata.uns.get("cicl", {}):
        raise InputError(
            f"{path}: this h5ad does not come from the step before (no {key} in uns['cicl']); run that first"
        )
    if key == "prepare" and "X_cicl_input" not in adata.obsm:
        raise InputError(f"{path}: this h5ad is of a later step; give the <id>.prepared.h5ad of the step prepare")
    return adata


def _check_replaceable(target: Path, source: Path) -> None:
    """Refuse to replace the file that is read, or an h5ad that is no result of CICL: it may be all there is of it."""
    if not target.exists():
        return
    remedy = "give another --outdir or --id"
    if target.is_dir():
        raise InputError(f"{target} is a folder, where a file of that name is to be written: {remedy}")
    if target.samefile(source):
        raise InputError(f"{target} is the input, and the result would replace it: {remedy}")
    import h5py

    if h5py.is_hdf5(target):
        with h5py.File(target, "r") as file:
            if "uns/cicl" in file:
                return
    raise InputError(f"{target} exists and is no result of CICL, so it is not replaced: {remedy}")


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
    from . import steps
    from .cli_downstream import check_annotation
    from .runtime.checksums import record_sums

    annotation = {name: options.pop(name) for name in ANNOTATION_OPTIONS}
    evolution = options.pop("evolution")
    check_annotation(**annotation)
    asked = read_training(options)
    checkpoints = {"folder": options.pop("checkpoint_dir") or outdir, "minutes": options.pop("checkpoint_minutes")}
    limits = read_limits(options)
    sample = sample_id(path, given_id)
    _check_replaceable(outdir / f"{sample}.h5ad", path)
    prepared = steps.prepare_sample(
        path, sample, config=asked.config, limits=limits, label_col=label_col, batch_col=batch_col, **options
    )
    record_sums(prepared, path)
    n_clusters, others = steps.parse_numbers(asked.n_clusters, prepared.n_obs)
    settings = {"config": asked.config, "seed": asked.seed, "device": asked.device}
    checkpoint = steps.open_checkpoint(prepared, n_clusters, **settings, **checkpoints)
    more = {"others": others, "evolution": evolution, "checkpoint": checkpoint, "warnings": asked.warnings}
    with checkpoint.signals():
        fitted = steps.fit_sample(prepared, n_clusters, **settings, **more)
    model = steps.cluster_sample(prepared, fitted)
    _write_sample(prepared, model, outdir, sample, label_col, batch_col, annotation)
    checkpoint.remove()


def _write_sample(
    adata: Any,
    model: dict[str, Any],
    outdir: Path,
    sample: str,
    label_col: str | None,
    batch_col: str | None,
    annotation: dict[str, Any],
) -> None:
    """Score, describe and draw the clustered sample, write all its files and the report, and say what was found."""
    from .cli_downstream import describe_clusters
    from .report.page import write_report
    from .runtime.files import write_json
    from .steps import score_sample

    _write_clusters(adata, model, outdir, sample, label_col)
    metrics = score_sample(adata, label_col=label_col)
    describe_clusters(adata, outdir, sample, **annotation)
    _plot(adata, outdir, sample, label_col, batch_col, metrics)
    write_json(metrics, outdir / f"{sample}.metrics.json")
    write_report([(adata, metrics)], outdir / "cicl_report.html", title=f"CICL: {sample}")
    click.echo(_summary(metrics, outdir / "cicl_report.html"))


def _summary(metrics: dict[str, Any], report: Path) -> str:
    n = metrics["n_clusters"]
    how = "given" if metrics["k_given"] else "estimated"
    clusters = "no clusters found" if n == 1 and how == "estimated" else f"{n} cluster{'s' * (n != 1)} ({how})"
    scores = "".join(f", {name.upper()} {metrics[name]:.3f}" for name in ("ari", "nmi", "ami") if name in metrics)
    found = f"{metrics['n_cells']} cells, {clusters}{scores}"
    return f"{metrics['id']}: {found}\nreport: {report}"


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
    from .runtime.checksums import combined, input_sums, write_sums
    from .steps import prepare_to_file

    config = read_config(preset, options)
    limits = read_limits(options)
    sample = sample_id(path, given_id)
    outfile = outdir / f"{sample}.prepared.h5ad"
    sums = input_sums(path) if path.exists() else []
    settings = {"config": config, "limits": limits, "memory_gb": memory_gb, "input_sha256": combined(sums)}
    prepare_to_file(path, sample, outfile, **settings, **options)
    write_sums(sample, sums, outdir)


@main.command()
@click.argument("path", metavar="PREPARED", type=existing)
@outdir_option
@id_option
@run_options
@history_option
@checkpoint_options
@preset_option
@fit_config_options
def fit(path: Path, outdir: Path, given_id: str | None, **options: Any) -> None:
    """Train on a prepared sample: writes <id>.fit.pt.

    On several GPUs: torchrun --standalone --nproc-per-node N --no-python cicl.py fit ...
    """
    from . import steps
    from .io import model_file
    from .io.backed_counts import in_memory_if_small
    from .model.distributed import World, join_world, leave_world

    asked = read_training(options)
    device = join_world(asked.device)
    is_first = World().is_first
    prepared = in_memory_if_small(_read_step_file(path, "prepare", backed=True))
    config = steps.as_prepared(asked.config, prepared)
    n_clusters, others = steps.parse_numbers(asked.n_clusters, prepared.n_obs)
    settings = {"config": config, "seed": asked.seed, "device": device}
    more = {"others": others, "evolution": options.pop("evolution")}
    folder, minutes = options.pop("checkpoint_dir") or outdir, options.pop("checkpoint_minutes")
    if not is_first:
        steps.fit_beside_others(prepared, n_clusters, **settings, **more)
        leave_world()
        return
    checkpoint = steps.open_checkpoint(prepared, n_clusters, **settings, folder=folder, minutes=minutes)
    more |= {"checkpoint": checkpoint, "warnings": asked.warnings}
    with checkpoint.signals():
        fitted = steps.fit_sample(prepared, n_clusters, **settings, **more)
    leave_world()
    model_file.save(fitted, outdir / f"{sample_id(path, given_id)}.fit.pt", "fit")
    checkpoint.remove()


def _write_clusters(adata: Any, model: dict[str, Any], outdir: Path, sample: str, label_col: str | None = None) -> None:
    import pandas as pd

    from .downstream.annotate_reference import with_reference
    from .io import model_file
    from .runtime.files import atomic_path

    table = pd.DataFrame(
        {
            "barcode": adata.obs_names,
            "cluster": adata.obs["cicl"].to_numpy(),
            "confidence": adata.obs["cicl_confidence"].to_numpy(),
        }
    )
    for column in adata.obs.columns:
        if re.fullmatch("cicl_[0-9]+", str(column)):
            table[f"cluster_{column[5:]}"] = adata.obs[column].to_numpy()
    with atomic_path(outdir / f"{sample}.clusters.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    embedding = adata.obsm["X_cicl"]
    columns = [f"cicl_{i}" for i in range(embedding.shape[1])]
    with atomic_path(outdir / f"{sample}.embedding.parquet") as temporary:
        pd.DataFrame(embedding, index=adata.obs_names.astype(object), columns=columns).to_parquet(temporary)
    model_file.save(with_reference(model, adata, label_col), outdir / f"{sample}.model.pt", "model")


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
    from . import steps
    from .io import model_file
    from .io.read import check_columns
    from .io.write_h5ad import write_h5ad

    fitted = model_file.load(fit_file, "fit")
    prepared = _read_step_file(path, "prepare")
    check_columns(prepared, label_col=label_col)
    model = steps.cluster_sample(prepared, fitted, n_clusters=steps.parse_n_clusters(n_clusters, prepared.n_obs))
    sample = sample_id(path, given_id)
    _write_clusters(prepared, model, outdir, sample, label_col)
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
    from .runtime.files import write_json
    from .steps import score_sample

    metrics = score_sample(_read_step_file(path, "k"), label_col=label_col)
    write_json(metrics, outdir / f"{sample_id(path, given_id)}.metrics.json")


def _plot(
    adata: Any, outdir: Path, sample: str, label_col: str | None, batch_col: str | None, metrics: dict | None
) -> None:
    from .downstream import umap_tsne
    from .io.write_h5ad import write_h5ad
    from .numerics.ordering import canonical_order, inverse
    from .report.figures import plot_sample
    from .report.multiqc import write_multiqc
    from .runtime.profiling import stage

    stages: dict[str, dict[str, float]] = {}
    with stage("plot", stages):
        seed = int(adata.uns["cicl"]["seed"])
        order = canonical_order(adata.obs_names)
        embedding, back = adata.obsm["X_cicl"][order], inverse(order)
        adata.obsm["X_umap"] = umap_tsne.umap(embedding, seed)[back]
        if (tsne := umap_tsne.tsne(embedding, seed)) is not None:
            adata.obsm["X_tsne"] = tsne[back]
        plot_sample(adata, outdir, sample, label_col=label_col, batch_col=batch_col, metrics=metrics)
    adata.uns["cicl"]["stages"] = {**adata.uns["cicl"]["stages"], **stages}
    if metrics is not None:
        for quantity in ("seconds", "peak_memory_mb"):
            metrics.setdefault(quantity, {})["plot"] = stages["plot"][quantity]
        write_multiqc(adata, metrics, outdir / f"{sample}_mqc.json")
    write_h5ad(adata, outdir / f"{sample}.h5ad")


@main.command()
@click.argument("path", metavar="CLUSTERED", type=existing)
@click.option(
    "--metrics", "metrics_file", type=existing, help="The <id>.metrics.json, for the MultiQC file and titles."
)
@click.option("--markers", "markers_file", type=existing, help="The <id>.markers.json of step markers.")
@click.option("--annotation", "annotation_file", type=existing, help="The <id>.annotation.json of step annotate.")
@label_option
@batch_option
@outdir_option
@id_option
def plot(
    path: Path,
    metrics_file: Path | None,
    markers_file: Path | None,
    annotation_file: Path | None,
    label_col: str | None,
    batch_col: str | None,
    outdir: Path,
    given_id: str | None,
) -> None:
    """Draw the sample: writes <id>.h5ad with UMAP and t-SNE, figures as PNG and <id>_mqc.json."""
    from .downstream.records import attach_records
    from .io.read import check_columns

    sample = sample_id(path, given_id)
    target = outdir / f"{sample}.h5ad"
    if not (target.is_file() and target.samefile(path)):  # a finished sample can be drawn again
        _check_replaceable(target, path)
    adata = _read_step_file(path, "k")
    check_columns(adata, label_col=label_col, batch_col=batch_col)
    metrics = _read_metrics(metrics_file) if metrics_file else None
    attach_records(adata, markers_file, annotation_file)
    _plot(adata, outdir, sample, label_col, batch_col, metrics)


def _read_metrics(path: Path) -> dict[str, Any]:
    import json

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this is no metrics file ({error}); run the step score again") from error
    if not isinstance(found, dict) or "id" not in found:
        raise InputError(f"{path}: this is no metrics file (it names no id); give the <id>.metrics.json of step score")
    return found


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=existing)
@click.option("--title", default="CICL report", show_default=True, help="Title of the report.")
@outdir_option
def report(files: tuple[Path, ...], title: str, outdir: Path) -> None:
    """Write one HTML report of all samples from their <id>.h5ad and <id>.metrics.json."""
    from .report.page import write_report

    metrics = {found["id"]: found for found in map(_read_metrics, (file for file in files if file.suffix == ".json"))}
    samples = []
    for file in sorted(file for file in files if file.suffix != ".json"):
        adata = _read_step_file(file, "k", backed=True)
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
    write_report(samples, outdir / "cicl_report.html", title=title)


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

    from . import steps
    from .io import model_file
    from .io.read import read_counts
    from .runtime.files import atomic_path

    model = model_file.load(model_file, "model")
    adata = read_counts(path, input_kind=model["input_kind"], counts_layer=counts_layer)
    labels, confidence = steps.map_sample(adata, model, device=_device(device, None))
    for warning in adata.uns["cicl"].get("warnings", []):
        click.echo(f"WARNING: {warning}", err=True)
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

    Counts, parameters, seed and number of threads are those that RESULT holds. Writes the files that `run` writes. The
    exit status is 1 where a cell has another cluster than before.
    """
    from . import rerun as again
    from . import steps

    before = _read_step_file(path, "k")
    how = again.recipe(before, str(path))
    chosen = _device(device, threads or how.threads)
    _check_replaceable(outdir / f"{how.id}.h5ad", path)
    prepared = again.prepare_again(before, how, original)
    n_clusters, others = steps.parse_numbers(how.n_clusters, prepared.n_obs)
    fitted = steps.fit_sample(prepared, n_clusters, others=others, config=how.config, seed=how.seed, device=chosen)
    reclustered = steps.parse_n_clusters(how.reclustered, prepared.n_obs)
    model = steps.cluster_sample(prepared, fitted, n_clusters=reclustered)
    _write_sample(prepared, model, outdir, how.id, how.label_col, how.batch_col, {})
    found = again.compare(before, prepared)
    click.echo(f"{how.id}: {found}")
    if found.n_different:
        click.get_current_context().exit(1)


@main.command(name="demo-data")
@outdir_option
def demo_data(outdir: Path) -> None:
    """Write 700 PBMC that need no download, a subset without labels, and the samplesheet for both."""
    from .demo import write_demo_data

    write_demo_data(outdir)


# Commands in files of their own; they add themselves to `main`.
from . import cli_count, cli_downstream  # noqa: E402, F401
