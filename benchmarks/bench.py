"""Speed and memory of the engine against a naive torch implementation: `make bench` writes JSON and a plot.

Figures are ratios within one run: naive and ours take turns, and the best of the rounds counts. Where other work shares
the machine the seconds of the wall clock mean little; the CPU seconds of the process, given beside them, still do.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bin"), str(ROOT / "benchmarks")]

from sccicl.config import PRESETS  # noqa: E402
from sccicl.model.cell_loader import CellLoader  # noqa: E402
from sccicl.model.kmeans import kmeans, lloyd  # noqa: E402
from sccicl.model.loss import contrastive_loss  # noqa: E402
from sccicl.runtime.device import choose_device, device_name  # noqa: E402
from sccicl.runtime.profiling import versions  # noqa: E402

N_GENES, N_TYPES = 500, 10
LOSS_CELLS = 32_768
SCALE_CELLS = {"cpu": (10_000, 50_000, 200_000), "cuda": (10_000, 100_000, 1_000_000)}


def cells(n: int) -> torch.Tensor:
    """Standardised cells of 10 types, (n, 500)."""
    generator = torch.Generator().manual_seed(0)
    types = torch.randn(N_TYPES, N_GENES, generator=generator)
    x = torch.randn(n, N_GENES, generator=generator)
    return x.add_(types[torch.randint(N_TYPES, (n,), generator=generator)])


def our_step(x: torch.Tensor, device: torch.device, products: torch.dtype | str | None = "auto") -> Callable[[], Any]:
    """One minibatch of all of `x` as `train` does it with preset paper."""
    from sccicl.model import train as training
    from sccicl.model.distributed import World
    from sccicl.model.train_step import Stepper

    config = PRESETS["paper"].changed(batch_size=len(x))
    data = CellLoader(x, device)
    state = training._start(data, None, config, 0)
    take_step = Stepper(state.modules, state.optimiser, config, device, World())
    if products != "auto":
        take_step.products = products
    batch = torch.arange(len(x), device=device)

    def step() -> Any:
        training._label_minibatch(state, take_step.embed(data.x), batch, N_TYPES, 0)
        first, second = (training.draw_view(data.x, config, state.drawing) for _ in range(2))
        return take_step(torch.cat([first, second]), state.pseudo_labels)

    return step


def naive_step(x: torch.Tensor, device: torch.device) -> Callable[[], Any]:
    """The same minibatch, naively."""
    from naive import NaiveTraining

    training, x = NaiveTraining(N_GENES, device, n_clusters=N_TYPES), x.to(device)
    return lambda: training.step(x)


def useful_operations(n: int, products_of_loss: float = 1.5) -> float:
    """Floating point operations that a step of preset paper needs at least.

    Of the loss: each pair's similarity once, and its weight once for each of its two rows.
    """
    layer = N_GENES * N_GENES + 2 * N_GENES * 1024
    encoder, head = 4 * layer, N_GENES * 1024 + 1024 * 512
    # Pseudo-labels are a forward pass; two views are forward and, twice as much, backward.
    model = 2 * n * (encoder + 2 * 3 * (encoder + head))
    return model + products_of_loss * 2 * (2 * n) ** 2 * 512


def measured(functions: dict[str, Callable[[], Any]], rounds: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Best seconds of the wall clock and of the CPU of each function, taking turns."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if device.type == "cuda":
                torch.cuda.synchronize()
            took = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
            # The first round warms up.
            best[name] = {key: min(value, best[name][key]) for key, value in took.items()} if name in best else took
    return best


def product_rate(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], Any], float]:
    """A matrix product and its operations."""
    n = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return lambda: torch.mm(a, b), 2.0 * n**3


def part_step(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """A training step against naive, and against the rate of matrix products."""
    x = cells(options.batch)
    single, operations = product_rate(device, torch.float32)
    short, _ = product_rate(device, torch.bfloat16)
    functions = {
        "naive": naive_step(x, device),
        "ours": our_step(x, device),
        "ours, float32": our_step(x, device, None),
        "product, float32": single,
        "product, bfloat16": short,
    }
    best = measured(functions, options.rounds, device)
    rates = {name: operations / best[f"product, {name}"]["cpu_seconds" if device.type == "cpu" else "seconds"] / 1e9
             for name in ("float32", "bfloat16")}  # fmt: skip
    key = "cpu_seconds" if device.type == "cpu" else "seconds"
    useful = useful_operations(options.batch)
    return {
        "batch": options.batch,
        "best": best,
        "gflops_per_s": rates,
        "times_faster": {
            n: best["naive"][k] / best["ours"][k] for n, k in (("wall", "seconds"), ("cpu", "cpu_seconds"))
        },
        "share_of_rate_float32": useful / best["ours"][key] / 1e9 / rates["float32"],
        "share_of_rate_bfloat16": useful / best["ours"][key] / 1e9 / rates["bfloat16"],
    }


def apart(expression: str) -> str:
    """What `expression` of this file gives, as text, in a process of its own: its peak of memory is its own alone."""
    code = f"import torch, bench; torch.set_num_threads({torch.get_num_threads()}); print(bench.{expression})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def part_memory(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory above what is there before, of one step each and of the loss alone, in processes of their own."""
    found = {
        name: float(apart(f"peak_of_step({name!r}, {options.batch}, {str(device)!r})")) for name in ("naive", "ours")
    }
    loss = float(apart(f"peak_of_loss({LOSS_CELLS}, {str(device)!r})"))
    return {"step_mb": found, "ours_over_naive": found["ours"] / found["naive"], f"loss_of_{LOSS_CELLS}_mb": loss}


def _peak_of(function: Callable[[], Any], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    import psutil

    before = psutil.Process().memory_info().rss
    function()
    unit = 1 if platform.system() == "Darwin" else 1024
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before) / 2**20


def peak_of_step(name: str, batch: int, device: str) -> float:
    """MB."""
    chosen = torch.device(device)
    x = cells(batch)
    return _peak_of((naive_step if name == "naive" else our_step)(x, chosen), chosen)


def peak_of_loss(n: int, device: str) -> float:
    """MB, of value and gradient at N cells; the projections and their gradient are not counted for either."""
    first, second = (torch.randn(n, 512, device=device).requires_grad_() for _ in range(2))
    labels = torch.randint(N_TYPES, (n,), device=device)
    return _peak_of(lambda: contrastive_loss(first, second, labels).total.backward(), torch.device(device))


def part_kmeans(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """K-means of many cells, one start, and from given centroids against scikit-learn."""
    from sklearn.cluster import KMeans

    n = 1_000_000 if device.type == "cuda" else 50_000
    x = cells(n).to(device)
    start = x[:20].clone()
    host = x.cpu().numpy()
    functions = {
        "ours": lambda: lloyd(x, start, max_iter=20),
        "scikit-learn": lambda: KMeans(20, init=host[:20], n_init=1, max_iter=20).fit(host),
        "ours, seeded": lambda: kmeans(x, 20, n_init=1),
    }
    return {"cells": n, "k": 20, "best": measured(functions, 1, device)}


def part_scale(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds per cell of an epoch with preset default, by the number of cells, in processes of their own."""
    rows = []
    for n in (int(n) for n in options.scale_cells.split(",")) if options.scale_cells else SCALE_CELLS[device.type]:
        runs = [list(map(float, apart(f"epoch_of({n}, {str(device)!r})").split())) for _ in range(options.rounds)]
        seconds, cpu_seconds, peak = map(min, zip(*runs, strict=True))
        rows.append({"cells": n, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak})
    key = "cpu_seconds" if device.type == "cpu" else "seconds"
    per_cell = [row[key] / row["cells"] for row in rows]
    return {"rows": rows, "per_cell_max_over_min": max(per_cell) / min(per_cell)}


def epoch_of(n: int, device: str, **changes: Any) -> str:
    """Seconds, CPU seconds and peak MB of one epoch with given pseudo-labels."""
    from sccicl.model.train import train

    x = cells(n)
    config = PRESETS["default"].changed(epochs=2, min_steps=1, n_genes=N_GENES, **changes)
    labels = torch.arange(n) % N_TYPES
    neighbours = torch.arange(n)[:, None].roll(1, 0)

    def epochs(n_cells: int) -> None:
        train(
            x[:n_cells],
            N_TYPES,
            config,
            pseudo_labels=labels[:n_cells],
            neighbours=neighbours[:n_cells] % n_cells,
            device=device,
            quiet=True,
        )

    epochs(512)  # what the first training of a process loads is no matter of the cells
    wall, cpu = time.perf_counter(), time.process_time()
    peak = _peak_of(lambda: epochs(n), torch.device(device))
    return f"{(time.perf_counter() - wall) / 2} {(time.process_time() - cpu) / 2} {peak}"


def part_prepare(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """Preparation from file to file against only reading the file, in a process of its own."""
    from atlas import write_atlas

    path, out = options.scratch / "atlas.h5ad", options.scratch / "atlas.prepared.h5ad"
    if not path.exists():
        write_atlas(path, options.source, options.cells, 20_000, "gzip")
    # They take turns; the first reading fills the system's cache.
    reads, prepares = [], []
    for _ in range(options.rounds):
        reads.append(list(map(float, apart(f"read_atlas({str(path)!r})").split())))
        prepares.append(list(map(float, apart(f"prepare_atlas({str(path)!r}, {str(out)!r})").split())))
    read = dict(zip(("seconds", "cpu_seconds"), map(min, zip(*reads, strict=True)), strict=True))
    seconds, cpu_seconds, peak = map(min, zip(*prepares, strict=True))
    out.unlink()
    return {
        "cells": options.cells,
        "read": read,
        "prepare": {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak},
        "prepare_over_read": {"wall": seconds / read["seconds"], "cpu": cpu_seconds / read["cpu_seconds"]},
    }


def read_atlas(path: str) -> str:
    """Seconds and CPU seconds of only reading the matrix."""
    from atlas import seconds_to_read

    cpu = time.process_time()
    return f"{seconds_to_read(Path(path))} {time.process_time() - cpu}"


def prepare_atlas(path: str, out: str) -> str:
    """Seconds, CPU seconds and peak MB, of the whole process."""
    from sccicl.steps.prepare import prepare_to_file

    wall, cpu = time.perf_counter(), time.process_time()
    # 2 GB make it go from file to file for all but small atlases.
    prepare_to_file(
        Path(path), "atlas", Path(out), config=PRESETS["default"], memory_gb=2, input_sha256="not needed here"
    )
    unit = 1 if platform.system() == "Darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return f"{time.perf_counter() - wall} {time.process_time() - cpu} {peak}"


def part_accuracy(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """ARI of preset paper with the fast losses, and with those of `naive.py` in float32, over the same seeds."""
    import numpy as np
    from naive import losses as naive_losses
    from sccicl.downstream.metrics import agreement
    from sccicl.model import train_step
    from sccicl.steps.cluster import cluster_sample
    from sccicl.steps.fit import fit_sample
    from sccicl.steps.prepare import prepare_sample

    def plain(first, second, labels, *, temperature, weight, **_):
        with torch.enable_grad():
            total = naive_losses(first.float(), second.float(), labels, temperature, weight)
        return train_step.Losses(total, total.detach(), torch.zeros_like(total))

    found: dict[str, Any] = {"epochs": options.epochs, "seeds": options.seeds, "ari": {}}
    config = PRESETS["paper"].changed(epochs=options.epochs)
    ways = {"fast": (train_step.contrastive_loss, train_step.products_type), "plain float32": (plain, lambda *_: None)}
    for path in options.sets:
        ari = found["ari"][path.stem] = {name: [] for name in ways}
        for seed in range(options.seeds):
            for name, (loss, products) in ways.items():
                train_step.contrastive_loss, train_step.products_type = loss, products
                prepared = prepare_sample(path, path.stem, config=config)
                truth = prepared.obs[options.label_col].to_numpy()
                fitted = fit_sample(
                    prepared, len(np.unique(truth)), config=config, seed=seed, device=device, quiet=True
                )
                cluster_sample(prepared, fitted)
                ari[name].append(agreement(truth, prepared.obs["cicl"].to_numpy())["ari"])
                print(f"{path.stem}, seed {seed}, {name}: {ari[name][-1]:.3f}", file=sys.stderr, flush=True)
    train_step.contrastive_loss, train_step.products_type = ways["fast"]
    return found


def part_run(device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """`cicl.py run` on the CPU against scanpy's way, for each file of --sets, in processes of their own."""
    from whole_run import compare

    return {path.stem: compare(path, options.rounds, torch.get_num_threads()) for path in options.sets}


PARTS = {
    "step": part_step,
    "memory": part_memory,
    "kmeans": part_kmeans,
    "scale": part_scale,
    "prepare": part_prepare,
    "accuracy": part_accuracy,
    "run": part_run,
}


def plot(results: dict[str, Any], path: Path) -> None:
    """Time per cell and memory against the number of cells."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = results["scale"]["rows"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    key = "cpu_seconds" if results["device"].startswith("cpu") else "seconds"
    n = [row["cells"] for row in rows]
    left.semilogx(n, [1e6 * row[key] / row["cells"] for row in rows], "o-")
    left.set(xlabel="cells", ylabel=f"µs per cell and epoch ({key.replace('_', ' ')})", ylim=(0, None))
    right.loglog(n, [row["peak_mb"] for row in rows], "o-")
    right.set(xlabel="cells", ylabel="peak memory beside the cells, MB")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure the parts that are asked for and write bench.json and scale.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--parts",
        default=",".join(name for name in PARTS if name not in ("accuracy", "run")),
        help="comma-separated: %(default)s, and accuracy and run, which need --sets",
    )
    parser.add_argument(
        "--sets", type=Path, nargs="+", default=[], help="h5ad files of parts accuracy (labelled) and run"
    )
    parser.add_argument("--label-col", default="label", help="column of obs with their cell types")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100, help="of preset paper in part accuracy")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="threads of torch; all cores by default")
    parser.add_argument("--batch", type=int, help="cells of a step: 4096 on a CPU, 6000 on a GPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale-cells", help="numbers of cells of part scale, comma-separated")
    parser.add_argument("--cells", type=int, default=200_000, help="cells of the atlas that is prepared")
    parser.add_argument("--source", type=Path, help="real h5ad that the atlas is resampled from; simulated without")
    parser.add_argument("--scratch", type=Path, default=Path("results/bench"), help="folder of the atlas (3 GB)")
    parser.add_argument("--outdir", type=Path, default=Path("results/bench"))
    options = parser.parse_args()
    options.outdir.mkdir(parents=True, exist_ok=True)
    options.scratch.mkdir(parents=True, exist_ok=True)
    options.scratch = options.scratch.resolve()
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.batch = options.batch or (6000 if device.type == "cuda" else 4096)
    target = options.outdir / "bench.json"
    results = json.loads(target.read_text()) if target.exists() else {}
    results.update(device=device_name(device), machine=platform.processor() or platform.machine(), versions=versions())
    for name in options.parts.split(","):
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = PARTS[name](device, options)
        print(json.dumps(results[name], indent=2), flush=True)
        target.write_text(json.dumps(results, indent=2) + "\n")
    if "scale" in results:
        plot(results, options.outdir / "scale.png")


if __name__ == "__main__":
    main()
