"""Whether a method wins where nobody tuned it: means by group of data sets, paired tests, and folds by study."""

from typing import TYPE_CHECKING

import numpy as np

from .summary import ALL, by_dataset

if TYPE_CHECKING:
    import pandas as pd

METHOD = "cicl"
EVERY = "all"
# Differences of ARI up to this size are ties.
TIE = 0.01
LOST = 0.10
# The simple methods of which the better one is to be reached on every data set.
SIMPLE = ("pca20-kmeans", "leiden-k")


def group_means(summary: "pd.DataFrame", groups: dict[str, str]) -> "pd.DataFrame":
    """Mean ARI over the data sets of every group and of all, by track and method; without the studies.

    Parameters
    ----------
    summary
        That of `summarise`.
    groups
        Data set -> group; sets without one count among all only.

    Returns
    -------
    pandas.DataFrame
        The columns track, group, method, n_datasets, ari (mean of the means over seeds), sd (over seeds, the mean), and
        near_k (data sets whose number of clusters is within 25 % of the number of types).
    """
    import pandas as pd

    rows = summary[(summary["setting"] == "") & (summary["dataset"] != ALL)]
    parts = [(EVERY, rows)]
    of_set = rows["dataset"].map(groups).fillna("")
    parts = [(group, rows[of_set == group]) for group in sorted(set(of_set) - {""})] + parts
    tables = []
    for group, part in parts:
        near = (part["n_clusters_mean"] / part["k"] - 1).abs() <= 0.25
        found = part.assign(near_k=near).groupby(["track", "method"], sort=False)
        table = found.agg(
            n_datasets=("dataset", "nunique"), ari=("ari_mean", "mean"), sd=("ari_sd", "mean"), near_k=("near_k", "sum")
        )
        tables.append(table.reset_index().assign(group=group))
    return pd.concat(tables)[["track", "group", "method", "n_datasets", "ari", "sd", "near_k"]]


def paired_tests(summary: "pd.DataFrame", groups: dict[str, str], method: str = METHOD) -> "pd.DataFrame":
    """CICL against every other method on the data sets that both have, by track and group.

    Returns
    -------
    pandas.DataFrame
        The columns track, group, rival, n_datasets, difference (mean of ARI), won, tied and lost (sets; ties differ by
        0.01 at most), p of Wilcoxon's signed-rank test, two-sided, without which there are fewer than two sets, and
        p_holm, corrected by Holm's method for the number of rivals of the track and group.
    """
    import pandas as pd
    from scipy.stats import wilcoxon

    found = []
    for track in summary["track"].unique():
        table = by_dataset(summary, track)
        if method not in table:
            continue
        for group in [*sorted(set(map(groups.get, table.index)) - {None, ""}), EVERY]:
            own = table if group == EVERY else table[[groups.get(name) == group for name in table.index]]
            for rival in own.columns.drop(method):
                difference = (own[method] - own[rival]).dropna()
                if difference.empty:
                    continue
                known = len(difference) > 1 and (difference != 0).any()
                found.append(
                    {
                        "track": track,
                        "group": group,
                        "rival": rival,
                        "n_datasets": len(difference),
                        "difference": difference.mean(),
                        "won": int((difference > TIE).sum()),
                        "tied": int((difference.abs() <= TIE).sum()),
                        "lost": int((difference < -TIE).sum()),
                        "p": float(wilcoxon(difference).pvalue) if known else np.nan,
                    }
                )
    names = ["track", "group", "rival", "n_datasets", "difference", "won", "tied", "lost", "p"]
    table = pd.DataFrame(found, columns=names)
    table["p_holm"] = table.groupby(["track", "group"])["p"].transform(holm) if len(table) else []
    return table


def holm(p: "pd.Series") -> "pd.Series":
    """P values corrected for their number (Holm 1979): p times how many are as large or larger, never falling."""
    known = p.dropna().sort_values()
    corrected = (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1)
    return corrected.reindex(p.index)


def left_out_folds(summary: "pd.DataFrame", studies: dict[str, str], parameter: str) -> "pd.DataFrame":
    """Values of one parameter, each chosen on the data sets of all other studies than the one it is scored on.

    Siblings, data sets of one study, are left out together.

    Parameters
    ----------
    studies
        Data set -> study; a set without one is a study by itself.
    parameter
        Results whose setting begins with it are compared, k given.

    Returns
    -------
    pandas.DataFrame
        The columns dataset, study, chosen (setting), ari (of that setting on the left-out set) and best (setting that
        is best over all sets, the same in each row) with its `best_ari`. Empty without such results.
    """
    import pandas as pd

    rows = summary[
        (summary["track"] == "given")
        & (summary["method"] == METHOD)
        & summary["setting"].str.startswith(f"{parameter}=")
        & (summary["dataset"] != ALL)
    ]
    table = rows.pivot(index="dataset", columns="setting", values="ari_mean").dropna()
    columns = ["dataset", "study", "chosen", "ari", "best", "best_ari"]
    study = pd.Series([studies.get(name) or name for name in table.index], index=table.index, dtype=object)
    if study.nunique() < 2:
        return pd.DataFrame(columns=columns)
    best = table.mean().idxmax()
    found = []
    for name in table.index:
        chosen = table[study != study[name]].mean().idxmax()
        found.append((name, study[name], chosen, table.loc[name, chosen], best, table.loc[name, best]))
    return pd.DataFrame(found, columns=columns)


def lost_to_simple(summary: "pd.DataFrame") -> list[str]:
    """Data sets on which CICL, k given, is more than 0.10 below the better of K-means on components and Leiden at k."""
    table = by_dataset(summary, "given")
    if METHOD not in table or not set(SIMPLE) <= set(table):
        return []
    below = table[list(SIMPLE)].max(axis=1) - table[METHOD] > LOST
    return sorted(table.index[below])
