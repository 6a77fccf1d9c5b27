"""scDeepCluster from the user's checkout: 2,000 genes, its own defaults; k given, or found by Louvain."""

import h5py
import numpy as np
import torch
from exchange import Exchange, commit_of, empty_modules, run_script

exchange = Exchange()
if exchange.k is None:
    import louvain  # noqa: F401

empty_modules("seaborn")
exchange.start()
counts = exchange.counts()
with h5py.File("data.h5", "w") as file:
    # The data set Y, which would be the types, is left out. It takes whole numbers only.
    file["X"] = np.rint(counts.toarray())
folder = exchange.options["folder"]
device = "cuda" if torch.cuda.is_available() else "cpu"
run_script(
    folder,
    "run_scDeepCluster.py",
    *("--data_file", "data.h5", "--n_clusters", exchange.k or 0, "--select_genes", min(2000, counts.shape[1])),
    *("--device", device, "--predict_label_file", "found.txt", "--final_latent_file", "latent.txt"),
    *("--save_dir", "states"),
)
with open("found.txt", encoding="utf-8") as file:
    labels = file.read().split()
exchange.leave(labels, commit_of(folder))
