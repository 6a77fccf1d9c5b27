"""From single results to means over seeds and data sets, and to ranks."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .methods import TITLES, TRACKS

if TYPE_CHECKING:
    import pandas as pd


METRICS = ("ari", "nmi", "ami", "acc", "n_clusters", "seconds", "peak_memory_mb")
GROUP = ["track", "method", "setting", "dataset"]
ALL = "(all)"
# Methods in the order of tables
ORDER = list(TITLES.values())
# Share of the data sets that a method must have to be ranked: one that lacks many would leave few for all the others.
ENOUGH = 0.75


class Ranks(NamedTuple):
    """`mean` rank by method, best first; `p` of Friedman's test; `critical_difference` (Nemenyi); `n_datasets`.

    `left_out` are methods with too few data sets.
    """

    mean: "pd.Series"
    p: float
    critical_difference: float
    n_datasets: int
    left_out: tuple[str, ...] = ()


def in_order(table: "pd.DataFrame") -> "pd.DataFrame":
    """Rows in the order of track, method (as in ORDER), setting, data set and seed."""
    import pandas as pd

    ordered = table.copy()
    ordered["track"] = pd.Categorical(table["track"], TRACKS)
    ordered["method"] = pd.Categorical(table["method"], ORDER)
    keys = [name for name in (*GROUP, "seed") if name in table]
    ordered = ordered.sort_values(keys, kind="stable", ignore_index=True)
    return ordered.astype({"track": str, "method": str})


def summarise(results: "pd.DataFrame") -> "pd.DataFrame":
    """Mean and standard deviation (n - 1) over seeds of every track, method, setting and data set.

    The rows `(all)` have the mean over data sets: of the means, and of the standard deviations over seeds.

    Returns
    -------
    pandas.DataFrame
        The columns track, method, setting, dataset, n_datasets, n_seeds, k, and of every metric `_mean` and `_sd`.
    """
    import pandas as pd

    grouped = results.groupby(GROUP, sort=False)
    means, sds = grouped[list(METRICS)].mean().add_suffix("_mean"), grouped[list(METRICS)].std().add_suffix("_sd")
    numbers = grouped.agg(n_seeds=("seed", "nunique"), k=("k", "first"))
    single = numbers.join([means, sds]).reset_index()
    single.insert(4, "n_datasets", 1)
    over_sets = single.drop(columns=["dataset", "n_datasets"]).groupby(GROUP[:3], sort=False)
    whole = over_sets.mean()
    whole["n_seeds"] = over_sets["n_seeds"].max()
    whole["n_datasets"] = over_sets.size()
    whole = whole.reset_index().assign(dataset=ALL)
    columns = [*GROUP, "n_datasets", "n_seeds", "k", *(f"{m}_{part}" for m in METRICS for part in ("mean", "sd"))]
    return in_order(pd.concat([single, whole])[columns])


def by_dataset(summary: "pd.DataFrame", track: str, column: str = "ari_mean") -> "pd.DataFrame":
    """Data sets x methods of one track, without the studies; NaN where there is no result."""
    rows = summary[(summary["track"] == track) & (summary["setting"] == "") & (summary["dataset"] != ALL)]
    table = rows.pivot(index="dataset", columns="method", values=column)
    return table[[name for name in ORDER if name in table]]


def ranks(table: "pd.DataFrame") -> Ranks | None:
    """Mean ranks over data sets that have every method, with the critical difference at 5 % (Demšar 2006).

    Methods with results for less than three quarters of the data sets are left out. None where there are fewer than
    three methods or data sets.

    Parameters
    ----------
    table
        Data sets x methods, higher is better.
    """
    from scipy.stats import friedmanchisquare, studentized_range

    enough = table.notna().mean() >= ENOUGH
    left_out = tuple(table.columns[~enough])
    table = table.loc[:, enough].dropna()
    n_datasets, n_methods = table.shape
    if n_datasets < 3 or n_methods < 3:
        return None
    mean = table.rank(axis=1, ascending=False).mean().sort_values()
    p = float(friedmanchisquare(*(table[name] for name in table)).pvalue)
    q = studentized_range.ppf(0.95, n_methods, np.inf) / np.sqrt(2)
    return Ranks(mean, p, float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets))), n_datasets, left_out)


def cliques(found: Ranks) -> list[tuple[str, str]]:
    """First and last method of every longest run of methods whose ranks do not differ by the critical difference."""
    names, values = list(found.mean.index), found.mean.to_numpy()
    ends = [int(np.flatnonzero(values - start < found.critical_difference).max()) for start in values]
    return [(names[i], names[end]) for i, end in enumerate(ends) if end > i and (i == 0 or end > ends[i - 1])]
