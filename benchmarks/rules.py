"""Rules of the default for the initial pseudo-labels and for k, under folds by study.

    python benchmarks/rules.py DATA [--cells 1500] [--seeds 2] [--out rules.pkl]

DATA is a folder as `make benchmark` takes it; of larger data sets `--cells` random cells are looked at. No encoder is
trained. For every rule, ARI of the initial pseudo-labels with the known types: as shipped; with the rule that is best
on all data sets; and with the rule that is best on the data sets of other studies than the one that is scored, which
is what such a choice gives on data that it was not made on. `--out` keeps what was found, so that a run that was
stopped goes on.
"""

import argparse
import itertools
import math
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).parents[1] / "bin"))
from sccicl.benchmark.dataset import groups_and_studies, input_kinds, read_types, write_blind
from sccicl.clustering.communities import Communities
from sccicl.clustering.ensemble import MIN_COMPARED, Ensemble, consensus, log_variance_within
from sccicl.clustering.n_clusters import SMALLEST_SHARE, held_out_merges
from sccicl.config import preset_config
from sccicl.numerics.neighbours import shared_neighbour_graph
from sccicl.numerics.partitions import adjusted_rand_indices
from sccicl.numerics.sampling import random_sample
from sccicl.preprocess.features import CountFeatures
from sccicl.steps.prepare import prepare_sample

WAYS = ("tempered", "ward", "leiden-blocks", "leiden-embedding")
SHARES = (0.0, 0.2, 0.35, 0.5, 0.75, 1.0)
RESOLUTIONS = {"components": (0.2, 0.3, 0.4), "blocks": (0.3, 0.4, 0.5, 0.7)}
SHIPPED_LABELS = (WAYS, 0.5)
SHIPPED_K = ("median", 0.3, 0.5, "count")
NEAR = 0.3


def main() -> None:
    """Measure the data sets of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cells", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("rules.pkl"))
    options = parser.parse_args()
    kinds = input_kinds(options.data)
    found = pickle.loads(options.out.read_bytes()) if options.out.exists() else {}
    for name, seed in itertools.product(kinds, range(options.seeds)):
        if (name, seed) not in found:
            found[name, seed] = _measured(options.data / f"{name}.h5ad", kinds[name], options.cells, seed)
            options.out.write_bytes(pickle.dumps(found))
            print(name, seed, flush=True)
    groups, studies = groups_and_studies(options.data)
    for what, shipped in (("labels", SHIPPED_LABELS), ("k", SHIPPED_K)):
        rules = {
            rule: np.array(
                [np.mean([found[name, seed][what][rule] for seed in range(options.seeds)]) for name in kinds]
            )
            for rule in found[next(iter(kinds)), 0][what]
        }
        print(f"\n{what}: {len(rules)} rules, ARI of the initial pseudo-labels")
        _show(rules, shipped, [studies.get(n) or n for n in kinds], [groups.get(n, "") for n in kinds])


def _measured(path: Path, kind: str, most_cells: int, seed: int) -> dict[str, dict]:
    """ARI of every rule on one data set; the types are looked at for the scores alone."""
    with tempfile.TemporaryDirectory() as folder:
        blind = Path(folder) / path.name
        write_blind(path, blind)
        prepared = prepare_sample(blind, path.stem, config=preset_config("default"), input_kind=kind)
        rows = random_sample(prepared.n_obs, most_cells, seed=seed)
        features = CountFeatures(prepared.X[rows], kind)
    types = read_types(path).iloc[prepared.obs_names[rows].astype(int)]
    known = types.notna().to_numpy()

    def ari(labels: np.ndarray) -> float:
        return adjusted_rand_score(types[known], labels[known])

    ensemble = Ensemble(features, seed=seed)
    return {"labels": _of_labels(ensemble, types.nunique(), ari), "k": _of_k(ensemble, features, ari, seed)}


def _of_labels(ensemble: Ensemble, k: int, ari: Callable[[np.ndarray], float]) -> dict[tuple, float]:
    """ARI by (ways to cut, share of the partitions with the smallest |W| of which the medoid is taken), k given."""
    partitions = {
        (view, way): p
        for view, found in enumerate(ensemble.views)
        for way, p in zip(WAYS, found.cuts.into(k), strict=True)
    }
    places = list(partitions)
    agreement = adjusted_rand_indices([partitions[place] for place in places])
    spread = np.array([log_variance_within(ensemble.views[0].components, partitions[place]) for place in places])
    scores = np.array([ari(partitions[place]) for place in places])
    found = {}
    for n in range(1, len(WAYS) + 1):
        for ways in itertools.combinations(WAYS, n):
            rows = np.array([i for i, (_, way) in enumerate(places) if way in ways])
            for share in SHARES:
                most = max(MIN_COMPARED, round(len(rows) * share)) if share else 1
                best = rows[np.argsort(spread[rows], kind="stable")[:most]]
                medoid = best[agreement[np.ix_(best, best)].mean(1).round(6).argmax()]
                found[ways, share] = scores[medoid]
    return found


def _of_k(
    ensemble: Ensemble, features: CountFeatures, ari: Callable[[np.ndarray], float], seed: int
) -> dict[tuple, float]:
    """ARI by (count, resolution of the components' graph, of the blocks' graph, what is taken)."""
    separable = int(np.median([run.estimate() for run in held_out_merges(features, seed=seed)]))
    view = ensemble.views[0]
    graphs = {"components": shared_neighbour_graph(view.components), "blocks": view.graph}
    counts = {
        (name, resolution): _n_big(Communities(graphs[name], seed=seed).at(resolution))
        for name, resolutions in RESOLUTIONS.items()
        for resolution in resolutions
    }
    cuts: dict[int, tuple[float, float]] = {}

    def cut(k: int) -> tuple[float, float]:
        """How much the partitions into k agree, and the ARI of their consensus."""
        if k not in cuts:
            partitions = [labels for view in ensemble.views for labels in view.cuts.into(max(k, 1))]
            pairs = adjusted_rand_indices(partitions)[np.triu_indices(len(partitions), 1)]
            cuts[k] = pairs.mean(), ari(consensus(view.components, partitions))
        return cuts[k]

    found = {}
    for first, second in itertools.product(RESOLUTIONS["components"], RESOLUTIONS["blocks"]):
        three = separable, counts["components", first], counts["blocks", second]
        for count, value in (("median", np.median(three)), ("mean", np.mean(three)), ("separable", separable)):
            numbers = range(math.ceil((1 - NEAR) * value), math.floor((1 + NEAR) * value) + 1)
            agreed = max(numbers, key=lambda k: cut(k)[0], default=round(value))
            found[count, first, second, "count"] = cut(round(value))[1]
            found[count, first, second, "highest agreement near it"] = cut(agreed)[1]
    return found


def _n_big(labels: np.ndarray) -> int:
    size = np.bincount(labels)
    return max(1, int((size >= SMALLEST_SHARE * size.sum()).sum()))


def _show(rules: dict[tuple, np.ndarray], shipped: tuple, studies: list[str], groups: list[str]) -> None:
    best = max(rules, key=lambda rule: rules[rule].mean())
    left_out = np.empty(len(studies))
    for i, study in enumerate(studies):
        others = np.array([other != study for other in studies])
        left_out[i] = rules[max(rules, key=lambda rule: rules[rule][others].mean())][i]
    names = sorted(set(groups))
    print("| Rule | " + " | ".join([*names, "all"]) + " |")
    for what, values in (("shipped", rules[shipped]), (f"best: {best}", rules[best]), ("of other studies", left_out)):
        means = [values[np.array(groups) == name].mean() for name in names]
        print(f"| {what} | " + " | ".join(f"{mean:.3f}" for mean in [*means, values.mean()]) + " |")


if __name__ == "__main__":
    main()
