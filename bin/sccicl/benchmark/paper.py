"""The table of the paper (arXiv:2312.16600, tables 1 and 3): which of its data sets are here, and printed figures."""

import csv
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


# What `--sets` takes for all data sets of the paper
PAPER = "paper"
# Method here -> column of the printed table
PRINTED = {
    "cicl": "CICL",
    "cicl-paper": "CICL",
    "clear": "CLEAR",
    "graphscc": "GraphSCC",
    "scdeepcluster": "scDeepCluster",
    "scdha": "scDHA",
    "scdha-reimplemented": "scDHA",
    "scvi-kmeans": "scVI",
    "scvi-leiden": "scVI",
    "seurat": "Seurat",
    "simlr": "SIMLR",
    "itclust": "ItClust",
}


@cache
def printed() -> tuple[dict[str, str], ...]:
    """Rows of the printed table: set, cells, genes, k, metric (ari, nmi), and a column for each method."""
    with (Path(__file__).parent / "templates" / "paper.tsv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file, delimiter="\t"))


def of_paper(names: list[str]) -> dict[str, str]:
    """Data set -> set of the paper, for files that have its name, whatever the case: `deng`, `young_top2000`."""
    found = {}
    for name in names:
        for row in sorted(printed(), key=lambda row: -len(row["set"])):
            if re.fullmatch(rf"{re.escape(row['set'])}([_.-].*)?", name, re.IGNORECASE):
                found[name] = row["set"]
                break
    return found


def wholeness(path: Path, paper: str) -> str:
    """`whole` where an h5ad has the cells, genes and types of the paper's set, else what it has of them."""
    import h5py
    from anndata.io import read_elem

    from .dataset import n_types, read_types

    row = next(row for row in printed() if row["set"] == paper)
    with h5py.File(path) as file:
        n_genes = len(read_elem(file["var"]))
    types = read_types(path)
    have = {"cells": len(types), "genes": n_genes, "types": n_types(types)}
    want = {"cells": int(row["cells"]), "genes": int(row["genes"]), "types": int(row["k"])}
    if have == want:
        return "whole"
    return ", ".join(f"{have[what]:,} of {want[what]:,} {what}" for what in have if have[what] != want[what])


def beside_printed(
    summary: "pd.DataFrame", papers: dict[str, str], whole: dict[str, str], titles: dict[str, str]
) -> "pd.DataFrame":
    """ARI and NMI measured here beside those that the paper prints, a row for each data set, track and method.

    Parameters
    ----------
    summary
        That of `summarise`, with titles of methods.
    papers, whole
        Data set -> set of the paper, and what `wholeness` says of it.
    titles
        Method -> title.

    Returns
    -------
    pandas.DataFrame
        The columns dataset, paper_set, whole, track, method, ari, printed_ari, nmi and printed_nmi; printed ones are
        NaN where the paper has none. The paper does not say for which of them k was given.
    """
    import pandas as pd

    column_of = {titles[name]: column for name, column in PRINTED.items()}
    figures = {(row["set"], row["metric"]): row for row in printed()}
    found = []
    for row in summary[summary["setting"] == ""].to_dict("records"):
        paper = papers.get(row["dataset"])
        if not paper or row["method"] not in column_of:
            continue
        known = {metric: figures[paper, metric][column_of[row["method"]]] for metric in ("ari", "nmi")}
        found.append(
            {
                "dataset": row["dataset"],
                "paper_set": paper,
                "whole": whole.get(row["dataset"], ""),
                "track": row["track"],
                "method": row["method"],
                "ari": row["ari_mean"],
                "printed_ari": float(known["ari"] or "nan"),
                "nmi": row["nmi_mean"],
                "printed_nmi": float(known["nmi"] or "nan"),
            }
        )
    names = ("dataset", "paper_set", "whole", "track", "method", "ari", "printed_ari", "nmi", "printed_nmi")
    return pd.DataFrame(found, columns=list(names))
