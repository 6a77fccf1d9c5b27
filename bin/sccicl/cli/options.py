"""Options that several commands share, and how they are read."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from ..config import LARGEST, PRESETS, Config, Doublets, InputKind
from ..errors import InputError, one_line
from ..runtime.device import device_or_cpu, set_threads, use_device
from ..runtime.files import check_folder

if TYPE_CHECKING:
    from ..preprocess.qc import Limits


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
    ".joined",
    ".prepared",
    ".clustered",
    ".init",
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
    help="Preset of the parameters; single ones can be overridden.",
)
prepare_config_options = _options(
    preset_option, *(_config_option(item) for item in fields(Config) if item.name in PREPARE_FIELDS)
)
fit_config_options = _options(*(_config_option(item) for item in fields(Config) if item.name not in PREPARE_FIELDS))


def _folder_of_outputs(_ctx: click.Context, param: click.Parameter, folder: Path | None) -> Path | None:
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
    help="Integrate the batches of --batch-col.",
)
read_options = _options(
    click.option(
        "--input-kind",
        type=click.Choice(get_args(InputKind)),
        default="counts",
        show_default=True,
        help="Kind of the values: raw counts; normalised (RPKM, TPM), treated as counts; or log-transformed.",
    ),
    click.option(
        "--counts-layer", help="Layer of the h5ad that holds the raw counts, or 'raw' for its .raw; by default X."
    ),
    click.option(
        "--cells-in",
        type=click.Choice(["rows", "columns"]),
        help="Axis of the cells in the matrix; detected from names and values by default, refused if ambiguous.",
    ),
)
qc_options = _options(
    click.option("--min-counts", type=whole_number, help="Minimum counts of a cell."),
    click.option("--min-genes", type=whole_number, help="Minimum number of genes of a cell."),
    click.option(
        "--max-mito", type=click.FloatRange(0, 100), help="Maximum mitochondrial share of a cell's counts, in per cent."
    ),
    click.option(
        "--nmads",
        type=click.FloatRange(min=0),
        help="Outlier threshold, in MADs from the median, for limits not set explicitly. Default: no filtering.",
    ),
    click.option("--min-cells", type=whole_number, help="Minimum number of cells that express a gene."),
    click.option(
        "--doublets",
        type=click.Choice(get_args(Doublets)),
        default="off",
        show_default=True,
        help="Find doublets with Scrublet, and mark or remove them.",
    ),
)


def show_warnings(record: Mapping[str, Any]) -> None:
    """Print the warnings of `uns["cicl"]` on standard error, one line each."""
    for warning in record.get("warnings", ()):
        click.echo(f"WARNING: {one_line(warning)}", err=True)


def read_limits(options: dict[str, Any]) -> "Limits":
    """The limits of the quality control; takes them out of `options`."""
    from ..preprocess.qc import Limits

    names = ("min_counts", "min_genes", "max_mito", "nmads", "min_cells", "doublets")
    return Limits(**{name: options.pop(name) for name in names})


n_clusters_option = click.option(
    "--n-clusters",
    default="auto",
    show_default=True,
    help="Number of clusters, or auto to estimate it; 5,8,12 trains for 5 and adds partitions into 8 and 12.",
)
seed_option = click.option("--seed", type=seed_number, default=0, show_default=True, help="Random seed.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU cores to use; by default all of them.")
run_options = _options(
    n_clusters_option,
    seed_option,
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda or cuda:1; auto uses a GPU if there is one.",
    ),
    click.option(
        "--allow-cpu-fallback",
        is_flag=True,
        help="Train on the CPU, with a warning, if --device requests a GPU and none can be used.",
    ),
    threads_option,
)
history_option = click.option(
    "--history",
    "evolution",
    is_flag=True,
    help="Keep snapshots of the training and draw the clusters over its epochs, <id>.evolution.png.",
)
tsne_option = click.option(
    "--tsne", "with_tsne", is_flag=True, help="Also compute and draw t-SNE, for at most 30,000 cells."
)
checkpoint_options = _options(
    click.option(
        "--checkpoint-dir",
        type=click.Path(path_type=Path),
        callback=_folder_of_outputs,
        help="Checkpoint folder. Rerun the same command to resume an interrupted run; by default the "
        "folder of the outputs. The file is removed when the result is written.",
    ),
    click.option(
        "--checkpoint-minutes",
        type=click.FloatRange(min=0),
        default=5.0,
        show_default=True,
        help="Minutes between checkpoints of the training. SIGUSR1 writes one as well; SIGTERM writes one and ends.",
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
        "--reference-model", type=existing, help="The <id>.model.pt of an earlier run, to transfer labels from."
    ),
    click.option(
        "--min-confidence",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Cells below this confidence in their reference label are unknown.",
    ),
)


def _training_device(options: dict[str, Any]) -> tuple[Any, list[str]]:
    """The device that the options of a training ask for, and warnings; takes them out of `options`.

    A GPU that was asked for and is not there ends the command here, before anything is read.
    """
    name, threads = options.pop("device"), options.pop("threads")
    # `auto` falls back to the CPU by itself, and the record says so as well.
    if not options.pop("allow_cpu_fallback") and name != "auto":
        return use_device(name, threads), []
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
    from ..steps.fit import parse_numbers

    device, warnings = _training_device(options)
    n_clusters = options.pop("n_clusters")
    parse_numbers(n_clusters)
    return Training(read_config(options.pop("preset"), options), options.pop("seed"), device, n_clusters, warnings)
