"""Everything that has to be known of a GPU, in one call of at most 8 minutes.

    python3 benchmarks/gpu_call.py --out DIR

For a bare machine with torch, numpy and scipy, no network and no scanpy; what needs more says so. Each section is tried
on its own and written to DIR/gpu_call.json as soon as it is done, so one that fails or is cut off costs no other.
`--tiny` takes sizes for a try on a CPU, `--device pretended` the accelerator of the tests, on which times mean nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bin"), str(ROOT / "benchmarks"), str(ROOT / "tests" / "helpers")]

from sccicl.runtime.environment import set_environment  # noqa: E402

set_environment()

import numpy as np  # noqa: E402
import torch  # noqa: E402

Section = Callable[["Call"], dict[str, Any]]
SECTIONS: dict[str, Section] = {}


def section(function: Section) -> Section:
    """Add a section, in the order of this file: what matters most first."""
    SECTIONS[function.__name__] = function
    return function


class Call:
    """The device, and how long something takes on it."""

    def __init__(self, device: torch.device, *, tiny: bool, source: Path | None = None, cells: Sequence[int] = ()):
        self.device, self.tiny, self.source, self.cells = device, tiny, source, cells
        self.is_cuda = device.type == "cuda"

    def wait(self) -> None:
        """Until the device has done all work."""
        if self.is_cuda:
            torch.cuda.synchronize()

    def ms(self, function: Callable[[], Any], n: int = 20, warm: int = 3) -> float:
        """Milliseconds of a call where the host does not wait in between, as in a training."""
        n, warm = (2, 1) if self.tiny else (n, warm)
        for _ in range(warm):
            function()
        self.wait()
        start = time.perf_counter()
        for _ in range(n):
            function()
        self.wait()
        return 1e3 * (time.perf_counter() - start) / n


@section
def machine(call: Call) -> dict[str, Any]:
    """Versions, and rates of products, copies and launches."""
    found: dict[str, Any] = {"torch": torch.__version__, "python": sys.version.split()[0], "cores": os.cpu_count()}
    found["compilers"] = {name: shutil.which(name) for name in ("cc", "gcc", "clang")}
    if call.is_cuda:
        found["gpu"] = torch.cuda.get_device_name(call.device)
        found["capability"] = torch.cuda.get_device_capability(call.device)
        found["free_and_total_bytes"] = torch.cuda.mem_get_info(call.device)
    n = 256 if call.tiny else 8192
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        a, b = (torch.randn(n, n, device=call.device).to(dtype) for _ in range(2))
        found[f"tflops_{name}"] = 2e-9 * n**3 / call.ms(lambda a=a, b=b: a @ b, 10)
    rows = 600 if call.tiny else 12_000
    for width in (500, 512):  # what genes of a multiple of 8 are worth
        a, first = (torch.randn(m, width, device=call.device).bfloat16() for m in (rows, 1024))
        second = torch.randn(width, 1024, device=call.device).bfloat16()
        took = call.ms(lambda a=a, w=first, v=second: (a @ w.T) @ v.T, 30)
        found[f"feed_forward_tflops_width_{width}"] = 4e-9 * rows * width * 1024 / took
    x = torch.randn(2**18 if call.tiny else 2**30, device=call.device)
    found["copy_tb_s"] = 2e-9 * x.nbytes / call.ms(x.clone, 5)
    y = torch.zeros(8, device=call.device)
    found["us_per_launch"] = 1e3 * call.ms(lambda: [y.add_(1) for _ in range(100)], 5) / 100
    return found


@section
def losses(call: Call) -> dict[str, Any]:
    """Largest relative error of value and gradient against float64, at sizes round the tiles."""
    from sccicl.model import loss_symmetric
    from sccicl.model.loss import contrastive_loss

    found: dict[str, Any] = {}
    if call.is_cuda:
        found["triton"] = loss_symmetric._kernels_work(call.device)
    sizes = ((2, 8), (33, 64), (127, 500)) if call.tiny else (
        (2, 8), (31, 64), (32, 64), (33, 64), (127, 500), (250, 64), (256, 64), (1000, 512), (2049, 512),
    )  # fmt: skip
    for n, d in sizes:
        generator = torch.Generator().manual_seed(n)
        views = [torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2)]
        labels = torch.randint(min(n, 7), (n,), generator=generator)
        for form in ("ratio", "supcon"):
            for temperature in (0.05, 0.5):

                def gradient_of(device, dtype, products, views=views, labels=labels, form=form, t=temperature):
                    z = [view.to(device, dtype).requires_grad_() for view in views]
                    parts = contrastive_loss(*z, labels.to(device), form=form, products=products, temperature=t)
                    return parts.total.item(), torch.autograd.grad(parts.total, z[0])[0].double().cpu()

                value, exact = gradient_of("cpu", torch.float64, None)
                for products in (None, torch.bfloat16):
                    ours, gradient = gradient_of(call.device, torch.float32, products)
                    error = {
                        "value": abs(ours - value) / max(abs(value), 1e-2),
                        "gradient": float((gradient - exact).norm() / exact.norm().clamp(min=1e-9)),
                    }
                    worst = found.setdefault(f"{form}, {products or torch.float32}", error)
                    worst.update({name: max(worst[name], error[name]) for name in error})
    return found


def simulated(n: int, n_genes: int = 6000, n_types: int = 8) -> tuple[Any, np.ndarray]:
    """Counts (cells, genes) CSR of types whose profiles differ everywhere, and the types (cells,)."""
    from scipy import sparse

    rng = np.random.default_rng(0)
    profile = rng.gamma(0.3, 1, n_genes) * np.exp(rng.normal(0, 1, (n_types, n_genes)))
    profile /= profile.sum(1, keepdims=True)
    types = np.arange(n) % n_types
    blocks = []
    for start in range(0, n, 1000):
        drawn = rng.poisson(profile[types[start : start + 1000]] * 3000)
        blocks.append(sparse.csr_matrix(drawn.astype(np.float32)))
    counts = sparse.vstack(blocks, format="csr")
    return counts[:, np.flatnonzero(counts.getnnz(0))], types


@section
def default_fit(call: Call) -> dict[str, Any]:
    """Seconds of whole fits with preset default, k given twice (the same bits) and auto."""
    from sccicl.clustering.fit import fit
    from sccicl.config import PRESETS
    from sccicl.numerics.partitions import adjusted_rand_indices
    from sccicl.preprocess.features import CountFeatures

    counts, types = simulated(160 if call.tiny else 10_000, 800 if call.tiny else 6000, 4 if call.tiny else 8)
    k = int(types.max()) + 1
    features = CountFeatures(counts)
    x = features.scalings()[1]
    changes = {"min_steps": 10, "epochs": 1} if call.tiny else {}
    config = PRESETS["default"].changed(**changes)
    found, runs = {}, {}
    for name, asked in (("first", k), ("second", k), ("auto", "auto")):
        start = time.perf_counter()
        try:
            runs[name] = fit(x, features, asked, config, seed=0, device=call.device, quiet=True)
        except ModuleNotFoundError as error:
            found[name] = f"not run: {error}"
            continue
        found[f"seconds_{name}"] = time.perf_counter() - start
        labels = runs[name].pseudo_labels.numpy()
        found[f"ari_{name}"] = float(adjusted_rand_indices([types, labels])[0, 1])
    found["same_bits"] = torch.equal(runs["first"].embedding, runs["second"].embedding)
    return found


class Steps(NamedTuple):
    """A step of a training, taken as it is, and as a CUDA graph where there is one."""

    eager: Callable[[], None]
    graphed: Callable[[], None]


def stepper(call: Call, preset: str, n: int, genes: int, **changes: Any) -> Steps:
    """A step of the training of a preset, on minibatches of `n` cells."""
    from sccicl.config import PRESETS
    from sccicl.model import train as training
    from sccicl.model.cell_loader import CellLoader
    from sccicl.model.distributed import World
    from sccicl.model.train_graph import GraphedSteps
    from sccicl.model.train_step import Stepper

    config = PRESETS[preset].changed(batch_size=n, **changes)
    cells = CellLoader(torch.randn(2 * n, genes), call.device)
    labels = None if preset == "paper" else torch.arange(len(cells.x)) % 8
    state = training._start(cells, labels, config, 0)
    take_step = Stepper(state.modules, state.optimiser, config, call.device, World())
    batch = torch.randperm(len(cells.x), device=call.device)[:n]
    near = torch.randint(len(cells.x), (len(cells.x), 5), device=call.device)

    def step(rows: torch.Tensor) -> None:
        ours = others = cells.take(rows)
        if labels is None:
            training._label_minibatch(state, take_step.embed(ours), rows, 10, 0)
        first = training.draw_view(ours, config, state.drawing)
        if labels is not None:
            others = cells.take(training.one_of(near[rows], state.drawing))
        views = torch.cat([first, training.draw_view(others, config, state.drawing)])
        state.sums += torch.stack(take_step(views, state.pseudo_labels[rows])) * n

    graphed = GraphedSteps(step, call.device, state.drawing, lambda: True)
    return Steps(lambda: step(batch), lambda: graphed(batch))


@section
def steps(call: Call) -> dict[str, Any]:
    """Milliseconds of a step, launches, and the share of the time in which the GPU works."""
    from bench import useful_operations

    cases = {
        "default 256 x 500": ("default", 256, 500),
        "default 256 x 2000": ("default", 256, 2000),
        "default 1024 x 500": ("default", 1024, 500),
        "paper 6000 x 500": ("paper", 6000, 500),
        "paper 6000 x 512": ("paper", 6000, 512),
    }
    found: dict[str, Any] = {}
    for name, (preset, n, genes) in cases.items():
        n = n // 32 if call.tiny else n
        step = stepper(call, preset, n, genes)
        found[name] = {"ms_eager": call.ms(step.eager, 30), "ms": call.ms(step.graphed, 60, 5)}
        if preset == "paper":
            found[name]["tflops"] = useful_operations(n) / 1e9 / found[name]["ms"]
        if call.is_cuda:
            found[name].update(profiled(step.graphed, 5))
    return found


def profiled(step: Callable[[], Any], n: int) -> dict[str, Any]:
    """Launches and milliseconds of kernels for each step, and the kernels that take most."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        for _ in range(n):
            step()
        torch.cuda.synchronize()
    events = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    by_name: dict[str, tuple[float, float]] = {}
    for event in events:
        count, ms = by_name.get(event.name[:90], (0, 0))
        by_name[event.name[:90]] = count + 1 / n, ms + event.time_range.elapsed_us() / 1e3 / n
    top = sorted(by_name.items(), key=lambda item: -item[1][1])[:40]
    return {"launches": len(events) / n, "kernel_ms": sum(ms for _, ms in by_name.values()), "top": top}


@section
def graph(call: Call) -> dict[str, Any]:
    """Whether a training whose steps are CUDA graphs ends at the weights of one without, and how long each takes."""
    from sccicl.config import PRESETS
    from sccicl.model import train_graph
    from sccicl.model.train import train

    n = 600 if call.tiny else 20_000
    x = torch.randn(n, 60 if call.tiny else 2000)
    near = torch.arange(n)[:, None].roll(1, 0)
    config = PRESETS["default"].changed(epochs=2, min_steps=1)
    found, weights = {}, {}
    for name, is_on in (("eager", False), ("graph", True), ("graph again", True)):
        train_graph.ENABLED = is_on
        start = time.perf_counter()
        trained = train(
            x, 8, config, pseudo_labels=torch.arange(n) % 8, neighbours=near, device=call.device, quiet=True
        )
        call.wait()
        found[f"seconds_{name}"] = time.perf_counter() - start
        weights[name] = torch.cat([value.detach().flatten().cpu() for value in trained.encoder.parameters()])
    train_graph.ENABLED = True
    found["largest_difference"] = float((weights["graph"] - weights["eager"]).abs().max())
    found["same_bits_again"] = torch.equal(weights["graph"], weights["graph again"])
    return found


@section
def memory(call: Call) -> dict[str, Any]:
    """Milliseconds and peak of losses alone; of a step of preset paper that has less memory than it needs."""
    from sccicl.model.loss import contrastive_loss

    found: dict[str, Any] = {}
    for n in (100,) if call.tiny else (6000, 32_768, 65_536):
        a, b = (torch.randn(n, 512, device=call.device).requires_grad_() for _ in range(2))
        labels = torch.randint(10, (n,), device=call.device)

        def once(a=a, b=b, labels=labels):
            contrastive_loss(a, b, labels, products=torch.bfloat16).total.backward()

        once()
        if call.is_cuda:
            torch.cuda.reset_peak_memory_stats()
            base = torch.cuda.memory_allocated()
        took = call.ms(once, 3, 1)
        found[str(n)] = {"ms": took, "useful_tflops": 3e-9 * (2 * n) ** 2 * 512 / took}
        if call.is_cuda:
            found[str(n)]["peak_mb"] = (torch.cuda.max_memory_allocated() - base) / 2**20
    if call.is_cuda:
        del a, b, labels, once
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        step = stepper(call, "paper", 6000, 500).eager
        step()
        need, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory
        torch.cuda.empty_cache()
        for share in (0.8, 0.5):
            torch.cuda.set_per_process_memory_fraction(share * need / total)
            try:
                step()
                found[f"step with {share} of its memory"] = "done"
            except Exception as error:
                found[f"step with {share} of its memory"] = f"{type(error).__name__}: {str(error)[:120]}"
        torch.cuda.set_per_process_memory_fraction(1.0)
    return found


@section
def resume(call: Call) -> dict[str, Any]:
    """Whether an interrupted training ends at the same bits."""
    from sccicl.config import PRESETS
    from sccicl.model.checkpoint import Checkpoint, Progress
    from sccicl.model.train import train

    class Stopped(Exception):
        pass

    class Stopping(Checkpoint):
        left = 5

        def step_done(self, progress: Callable[[], Progress]) -> None:
            self.left -= 1
            if self.left == 0:
                self._content["training"] = progress()._asdict()
                self._save()
                raise Stopped

    changes = {"n_layers": 1, "feed_forward": 16, "projection_hidden": 16, "projection_size": 8, "batch_size": 25}
    x = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    given = {"pseudo_labels": torch.arange(90) % 3, "neighbours": torch.arange(90)[:, None].roll(3, 0)}
    found = {}
    for preset in ("paper", "default"):
        config = PRESETS[preset].changed(**changes, epochs=3, min_steps=1, dropout=0.3)
        settings = {**(given if preset == "default" else {}), "device": call.device, "quiet": True}
        whole = train(x, 3, config, **settings)
        folder = Path(tempfile.mkdtemp())
        with suppress(Stopped):
            train(x, 3, config, **settings, checkpoint=Stopping(folder, "a", "key"))
        kept = Checkpoint(folder, "a", "key")
        found[f"went_on_{preset}"] = kept.progress() is not None
        resumed = train(x, 3, config, **settings, checkpoint=kept)
        shutil.rmtree(folder)
        pairs = zip(whole.encoder.parameters(), resumed.encoder.parameters(), strict=True)
        found[f"same_bits_{preset}"] = all(torch.equal(a, b) for a, b in pairs)
    return found


@section
def neighbours(call: Call) -> dict[str, Any]:
    """Seconds of exact neighbours and of components, by the number of cells."""
    from sccicl.numerics.neighbours import neighbour_indices
    from sccicl.numerics.pca import principal_components

    found = {}
    for n in (500,) if call.tiny else (10_000, 100_000, 1_000_000):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, 500), dtype=np.float32)
        start = time.perf_counter()
        scores = principal_components(x, 20, device=call.device)
        middle = time.perf_counter()
        neighbour_indices(scores, 5, device=call.device)
        found[str(n)] = {"components_s": middle - start, "neighbours_s": time.perf_counter() - middle}
    return found


@section
def scale(call: Call) -> dict[str, Any]:
    """An epoch of preset default on 500 genes, and K-means of all cells; 20 epochs of 1,000,000 cells are the goal."""
    import bench
    from sccicl.model.kmeans import kmeans

    found = {}
    for n in (600,) if call.tiny else (10_000, 100_000, 1_000_000):
        found[str(n)] = {}
        for batch_size in (256, 1024):
            measured = bench.epoch_of(n, str(call.device), batch_size=batch_size).split()
            took = dict(zip(("seconds", "cpu_seconds", "peak_mb"), map(float, measured), strict=True))
            found[str(n)][f"minibatches of {batch_size}"] = took
        h = torch.randn(n, 20, device=call.device)
        found[str(n)]["kmeans_ms"] = call.ms(lambda h=h: kmeans(h, 10, n_init=1), 1, 1)
    return found


def busy_while(process: "subprocess.Popen[str]", period: float = 0.05) -> dict[str, float]:
    """Seconds until a process ends, those in which the GPU worked, and most of its memory that was in use, in MB."""
    import pynvml  # of nvidia-ml-py

    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    start, busy, most = time.perf_counter(), 0.0, 0
    last = start
    while process.poll() is None:
        time.sleep(period)
        now = time.perf_counter()
        busy += (now - last) * pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100
        most, last = max(most, pynvml.nvmlDeviceGetMemoryInfo(gpu).used), now
    return {"seconds": time.perf_counter() - start, "gpu_busy_s": busy, "gpu_memory_mb": most / 2**20}


@section
def processes(call: Call) -> dict[str, Any]:
    """Seconds of `cicl.py prepare`, `init`, `fit --init`, k estimated, file to file; needs anndata and leidenalg."""
    from atlas import write_atlas

    folder, found = Path(tempfile.mkdtemp()), {}
    engine = [sys.executable, str(ROOT / "bin" / "cicl.py")]
    device = call.device.type if call.is_cuda else "cpu"
    sizes = (300,) if call.tiny else call.cells
    for n in sizes:
        path, out = folder / f"a{n}.h5ad", ["--outdir", str(folder)]
        prepared, initial = (str(folder / f"a{n}.{kind}") for kind in ("prepared.h5ad", "init.pt"))
        fit = ["fit", prepared, "--init", initial, *out, "--device"]
        write_atlas(path, call.source, n, 2000 if call.tiny else 20_000, None)
        for name, words in (
            ("prepare", ["prepare", str(path), *out]),
            ("init", ["init", prepared, *out]),
            ("fit", [*fit, device]),
            *((("fit on the CPU", [*fit, "cpu"]),) if n == min(sizes) else ()),
        ):
            with (folder / "log").open("w") as log:
                process = subprocess.Popen([*engine, *words], stdout=log, stderr=log)
                start = time.perf_counter()
                took = busy_while(process) if call.is_cuda else {}
                status = process.wait()
            took["seconds"] = time.perf_counter() - start
            if status:
                took = {"status": status, "log": (folder / "log").read_text()[-800:]}
            found[f"{name}, {n} cells"] = took
            print(name, n, took, flush=True)
    shutil.rmtree(folder)
    return found


def main() -> None:
    """Run the sections, and print and write what they find."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder of gpu_call.json")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu or pretended")
    parser.add_argument("--tiny", action="store_true", help="sizes for a try on a CPU")
    parser.add_argument("--source", type=Path, help="h5ad of a sample that the cells of `processes` are drawn from")
    parser.add_argument("--cells", type=int, nargs="*", default=[10_000, 100_000], help="of `processes`")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    around = nullcontext(None)
    if options.device == "pretended":
        from pretended_device import pretended_device

        around = pretended_device()
    results: dict[str, Any] = {}
    with around as pretended:
        device = torch.device(options.device) if pretended is None else pretended
        call = Call(device, tiny=options.tiny, source=options.source, cells=options.cells)
        for name in options.only:
            start = time.perf_counter()
            try:
                found = SECTIONS[name](call)
            except BaseException as error:  # the other sections must run
                found = {"failed": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-1500:]}
                if isinstance(error, KeyboardInterrupt):
                    raise
            if call.is_cuda:
                torch.cuda.empty_cache()
            results[name] = {"took_s": round(time.perf_counter() - start, 1), **found}
            (options.out / "gpu_call.json").write_text(json.dumps(results, indent=1, default=str) + "\n")
            print(name, json.dumps(results[name], default=str)[:1500], flush=True)
    failed = [name for name, found in results.items() if "failed" in found]
    print("failed:", ", ".join(failed) or "none")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
