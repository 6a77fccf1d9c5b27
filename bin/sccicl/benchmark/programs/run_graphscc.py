"""GraphSCC from the user's checkout, blind: it takes labels, prints scores and writes no cluster.

As labels it gets i mod k for cell i, which only sets the number of clusters. Its module for scores is replaced by one
that keeps the clusters of the graph network (the letter Z), those of the paper; the last ones are the result.
"""

import os
import sys
import types

import numpy as np
import scanpy as sc
import torch
from exchange import Exchange, commit_of, empty_modules, run_script, without_gpu

exchange = Exchange()
empty_modules("seaborn", "networkx", "matplotlib.pyplot", "umap")
# Names of 2020
sys.modules["scanpy.api"] = sc
sc.api = sc
np.float = float
kept = {}


def remember(_types, clusters, epoch=0, **_options):
    """In place of `eva`, which scores: there is nothing to score with."""
    if str(epoch).endswith("Z"):
        kept["clusters"] = np.asarray(clusters).copy()
    return 0.0, 0.0, 0.0


scores = types.ModuleType("evaluation")
scores.eva = remember
sys.modules["evaluation"] = scores
without_gpu()
# It asks for two threads whatever there is.
torch.set_num_threads = lambda _n: None

exchange.start()
cells = exchange.variable_genes()
genes = cells.X.toarray().T
os.mkdir("data")
with open("data/x.csv", "w", encoding="utf-8") as file:
    names = [str(i) for i in range(cells.n_obs)]  # of whole numbers too
    placeholders = [str(i % exchange.k) for i in range(cells.n_obs)]
    file.write(",".join(["sample_labels", *names]) + "\n")
    file.write(",".join(["cell_label", *placeholders]) + "\n")
    file.write(",".join(["cluster_labels", *placeholders]) + "\n")
    for name, values in zip(cells.var_names, genes):
        file.write(",".join([name.replace(",", "."), *(f"{value:.6g}" for value in values)]) + "\n")
folder = exchange.options["folder"]
run_script(folder, "GraphSCC.py", "--name", "x")
if "clusters" not in kept:
    sys.exit("GraphSCC.py gave no clusters of its graph network")
exchange.leave(kept["clusters"], commit_of(folder))
