"""The command line: the steps that find clusters, without and with a GPU."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from ..runtime.device import set_threads
from ..runtime.launcher import launch
from .group import main
from .options import (
    checkpoint_options,
    existing,
    fit_config_options,
    history_option,
    id_option,
    n_clusters_option,
    outdir_option,
    preset_option,
    read_config,
    read_training,
    run_options,
    sample_id,
    seed_option,
    threads_option,
)
from .step_files import read_step_file


@main.command()
@click.argument("path", metavar="PREPARED", type=existing)
@outdir_option
@id_option
@n_clusters_option
@seed_option
@threads_option
@preset_option
def init(
    path: Path, outdir: Path, given_id: str | None, n_clusters: str, seed: int, threads: int | None, preset: str
) -> None:
    """Choose k and find the initial pseudo-labels, without a GPU: writes <id>.init.pt.

    Step fit does so itself if it gets no <id>.init.pt.
    """
    from ..io.backed_counts import in_memory_if_small
    from ..steps.fit import parse_numbers
    from ..steps.init import init_sample

    parse_numbers(n_clusters)
    set_threads(threads)
    prepared = in_memory_if_small(read_step_file(path, "prepare", backed=True))
    first, others = parse_numbers(n_clusters, prepared.n_obs)
    found = init_sample(prepared, first, config=read_config(preset, {}), seed=seed, others=others)
    found.save(outdir / f"{sample_id(path, given_id)}.init.pt")


@main.command()
@click.argument("path", metavar="PREPARED", type=existing)
@click.option("--init", "init_file", type=existing, help="The <id>.init.pt of the same sample; by default made here.")
@outdir_option
@id_option
@run_options
@history_option
@checkpoint_options
@preset_option
@fit_config_options
@click.option(
    "--gpus",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs of this machine that train together, each in a process of its own with --threads cores.",
)
@click.pass_context
def fit(
    context: click.Context,
    path: Path,
    init_file: Path | None,
    outdir: Path,
    given_id: str | None,
    gpus: int,
    **options: Any,
) -> None:
    """Train on a prepared sample: writes <id>.fit.pt."""
    if gpus > 1 and "WORLD_SIZE" not in os.environ:
        # This process looks at no GPU: every process that does takes up memory there.
        context.exit(launch([sys.executable, *sys.argv], gpus))
    from ..io.backed_counts import in_memory_if_small
    from ..model.distributed import World, join_world, leave_world
    from ..steps.fit import as_prepared, fit_beside_others, fit_sample, open_checkpoint, parse_numbers
    from ..steps.init import read_init

    asked = read_training(options)
    device = join_world(asked.device)
    is_first = World().is_first
    prepared = in_memory_if_small(read_step_file(path, "prepare", backed=True))
    config = as_prepared(asked.config, prepared)
    n_clusters, others = parse_numbers(asked.n_clusters, prepared.n_obs)
    settings = {"config": config, "seed": asked.seed, "device": device}
    more = {"others": others, "evolution": options.pop("evolution")}
    folder, minutes = options.pop("checkpoint_dir") or outdir, options.pop("checkpoint_minutes")
    if not is_first:
        fit_beside_others(prepared, n_clusters, **settings, **more)
        leave_world()
        return
    initial = None
    if init_file is not None:
        initial = read_init(init_file, prepared, n_clusters, config=config, seed=asked.seed, others=others)
    checkpoint = open_checkpoint(prepared, n_clusters, **settings, folder=folder, minutes=minutes, initial=initial)
    more |= {"checkpoint": checkpoint, "warnings": asked.warnings, "initial": initial}
    with checkpoint.signals():
        fitted = fit_sample(prepared, n_clusters, **settings, **more)
    leave_world()
    fitted.save(outdir / f"{sample_id(path, given_id)}.fit.pt")
    checkpoint.remove()
