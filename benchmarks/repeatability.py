"""How far the clusters of a sample move with the order of its cells, threads, number types and seeds.

    python benchmarks/repeatability.py FILE.h5ad... [--input-kind normalised] [--n-clusters auto]

Every sample is clustered on one thread in float32, and compared with that: the same once more, its cells and genes in
another order, two threads, products of minibatches in bfloat16, and another seed, by which the others are to be
measured. Each is a process of its own. Prints the ARI of the clusters with those of the first, and whether clusters,
confidence and embedding are equal bit for bit, as rows of the table in docs/reproducibility.md.
"""

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

VARIANTS = {
    "once more": {},
    "cells and genes in another order": {"shuffled": True},
    "2 threads": {"threads": 2},
    "bfloat16": {"dtype": "bfloat16"},
    "another seed": {"seed": 1},
}


def main() -> None:
    """Measure the samples of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--input-kind", default="counts")
    parser.add_argument("--n-clusters", default="auto")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--leave-out", nargs="*", default=[], choices=VARIANTS, help="what is not measured")
    for name, kind in (("threads", int), ("seed", int), ("dtype", str), ("outfile", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--shuffled", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.outfile is not None:
        _cluster(options)
        return
    variants = {name: variant for name, variant in VARIANTS.items() if name not in options.leave_out}
    print("| Sample | Cells | Clusters | " + " | ".join(variants) + " |", flush=True)
    for path in options.paths:
        expected = _found(path, options, {})
        cells = [_compared(_found(path, options, variant), expected) for variant in variants.values()]
        row = [path.stem, str(len(expected)), str(expected["cicl"].nunique()), *cells]
        print("| " + " | ".join(row) + " |", flush=True)


def _found(path: Path, options: argparse.Namespace, variant: dict) -> "pd.DataFrame":  # noqa: F821
    settings = {"threads": 1, "seed": 0, "dtype": "float32", **variant}
    flags = ["--shuffled"] if settings.pop("shuffled", False) else []
    flags += [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    flags += ["--input-kind", options.input_kind, "--n-clusters", options.n_clusters, "--preset", options.preset]
    environment = {**os.environ, "OMP_NUM_THREADS": str(settings["threads"])}
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"]
    with tempfile.TemporaryDirectory() as folder:
        outfile = Path(folder) / "found.pkl"
        command = [sys.executable, __file__, str(path), "--outfile", str(outfile), *flags]
        subprocess.run(command, check=True, env=environment)
        return pickle.loads(outfile.read_bytes())


def _compared(found: "pd.DataFrame", expected: "pd.DataFrame") -> str:  # noqa: F821
    from sklearn.metrics import adjusted_rand_score

    found = found.loc[expected.index]
    ari = adjusted_rand_score(expected["cicl"], found["cicl"])
    return f"{ari:.3f}" + (", same bits" if found.equals(expected) else "")


def _cluster(options: argparse.Namespace) -> None:
    """Cluster one sample in this process; pickles clusters, confidence and embedding by cell."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bin"))
    import numpy as np
    import torch
    from sccicl.config import PRESETS
    from sccicl.io.read import read_counts
    from sccicl.model import train_step
    from sccicl.steps.cluster import cluster_sample
    from sccicl.steps.fit import fit_sample, parse_n_clusters
    from sccicl.steps.prepare import prepare_counts

    torch.set_num_threads(options.threads)
    dtype = None if options.dtype == "float32" else getattr(torch, options.dtype)
    train_step.products_type = lambda *_: dtype
    adata = read_counts(options.paths[0], input_kind=options.input_kind)
    if options.shuffled:
        rng = np.random.default_rng(0)
        adata = adata[rng.permutation(adata.n_obs)][:, rng.permutation(adata.n_vars)].copy()
    config = PRESETS[options.preset]
    prepared = prepare_counts(adata, options.input_kind, config)
    prepared.uns["cicl"].update(id="s", stages={})
    k = parse_n_clusters(options.n_clusters, prepared.n_obs)
    device = torch.device("cpu")
    fitted = fit_sample(prepared, k, config=config, seed=options.seed, device=device, quiet=True)
    cluster_sample(prepared, fitted)
    table = prepared.obs[["cicl", "cicl_confidence"]].astype({"cicl": str})
    for column, values in enumerate(prepared.obsm["X_cicl"].T):
        table[f"X_{column}"] = values
    options.outfile.write_bytes(pickle.dumps(table))


if __name__ == "__main__":
    main()
