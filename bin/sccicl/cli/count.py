"""Commands before `prepare`: checksums, a look at the reads, cells among the barcodes, and samples in one file."""

from pathlib import Path
from typing import Any, get_args

import click

from ..config import LARGEST, InputKind, Protocol
from ..errors import InputError
from ..runtime.checksums import input_sums, write_sums
from ..runtime.files import write_json
from .group import main
from .options import (
    existing,
    id_option,
    outdir_option,
    qc_options,
    read_limits,
    read_options,
    sample_id,
    seed_number,
    show_warnings,
)


@main.command("check-reads")
@click.argument("fastq", nargs=-1, required=True, metavar="R1 R2 ...", type=existing)
@click.option(
    "--protocol", type=click.Choice(get_args(Protocol)), default="10XV3", show_default=True, help="Chemistry of 10x."
)
@click.option("--whitelist", type=existing, help="Barcodes of the kit, one a line, gzipped or not.")
@outdir_option
@id_option
def check_reads(
    fastq: tuple[Path, ...], protocol: Protocol, whitelist: Path | None, outdir: Path, given_id: str | None
) -> None:
    """Look at the first reads: writes <id>.reads.json, or says what is wrong with them.

    The FASTQ files of the lanes come in pairs: read 1, which holds barcode and UMI, and read 2.
    """
    from ..count import check_reads as reads

    if len(fastq) % 2:
        raise click.UsageError(f"the number of files is odd ({len(fastq)}): give read 1 and read 2 of every lane")
    found = reads.check_reads(list(zip(fastq[::2], fastq[1::2], strict=True)), protocol, whitelist)
    write_json(found, outdir / f"{sample_id(fastq[0], given_id)}.reads.json")


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT ...", type=existing)
@outdir_option
@id_option
def checksums(paths: tuple[Path, ...], outdir: Path, given_id: str | None) -> None:
    """SHA-256 of every file of the inputs of a sample: writes <id>.inputs.tsv."""
    if missing := [path for path in paths if not path.exists()]:
        raise InputError(f"{missing[0]} does not exist: check the path")
    write_sums(sample_id(paths[0], given_id), [found for path in paths for found in input_sums(path)], outdir)


@main.command("call-cells")
@click.argument("path", metavar="INPUT", type=existing)
@click.option("--expected-cells", type=click.IntRange(1, LARGEST), help="Cells that were loaded; 3000 if not given.")
@click.option(
    "--counts-layer", help="Layer of the h5ad that holds the raw counts, or 'raw' for its .raw; by default X."
)
@click.option("--reads", "reads_file", type=existing, help="The <id>.reads.json of check-reads, for the report.")
@click.option("--summary", "summary_file", type=existing, help="The Summary.csv of STARsolo, for the report.")
@click.option("--genes", "genes_file", type=existing, help="Gene ids and symbols, tab-separated, for matrices without.")
@click.option("--seed", type=seed_number, default=0, show_default=True, help="Seed of the simulations.")
@outdir_option
@id_option
def call_cells(path: Path, outdir: Path, given_id: str | None, counts_layer: str | None, **options: Any) -> None:
    """Distinguish cells from empty droplets in an unfiltered matrix: writes <id>.cells.h5ad."""
    from ..count.cell_calling import keep_cells
    from ..count.reads_record import add_reads, add_symbols
    from ..io.read import read_counts
    from ..io.write_h5ad import write_h5ad

    adata = read_counts(path, counts_layer=counts_layer)
    if options["genes_file"] is not None:
        add_symbols(adata, options["genes_file"])
    add_reads(adata, options["reads_file"], options["summary_file"])
    sample = sample_id(path, given_id)
    cells = keep_cells(adata, expected_cells=options["expected_cells"], seed=options["seed"])
    cells.obs["sample"] = sample
    write_h5ad(cells, outdir / f"{sample}.cells.h5ad")


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT ...", type=existing)
@click.option("--samples", required=True, help="Names of the samples, in the order of the inputs, with commas between.")
@click.option("--id", "given_id", required=True, help="Name of the group and of its files.")
@outdir_option
@read_options
@qc_options
def join(
    paths: tuple[Path, ...],
    samples: str,
    given_id: str,
    outdir: Path,
    input_kind: InputKind,
    counts_layer: str | None,
    cells_in: str | None,
    **options: Any,
) -> None:
    """Put the samples of a group into one file, each after its own quality control: writes <id>.joined.h5ad."""
    from ..io.write_h5ad import write_h5ad
    from ..preprocess.join import join_samples

    names = samples.split(",")
    if len(names) != len(paths) or len(set(names)) != len(names):
        raise click.UsageError(
            f"--samples names {len(set(names))} samples, but there are {len(paths)} inputs: give each its own name"
        )
    limits = read_limits(options)
    joined = join_samples(
        paths, names, limits=limits, input_kind=input_kind, counts_layer=counts_layer, cells_in=cells_in
    )
    show_warnings(joined.uns["cicl"])
    write_h5ad(joined, outdir / f"{sample_id(paths[0], given_id)}.joined.h5ad")
