"""scDeepCluster from the user's checkout: 2,000 genes, its own defaults; k given, or found by Louvain."""

import inspect

import anndata
import h5py
import numpy as np
import torch
from exchange import Exchange, commit_of, empty_modules, import_from, run_script

exchange = Exchange()
if exchange.k is None:
    import louvain  # noqa: F401

empty_modules("seaborn")
folder = exchange.options["folder"]
import_from(folder)
from scDeepCluster import scDeepCluster

# What it hands over as anndata before 0.13 and pandas before 3 take it: a number type, and a Series as numbers.
if "dtype" not in inspect.signature(anndata.AnnData).parameters:
    make = anndata.AnnData.__init__
    anndata.AnnData.__init__ = lambda self, *given, dtype=None, **options: make(self, *given, **options)


def with_array(method):
    """The method, whose size factors are an array."""
    return lambda self, size_factor, **options: method(self, size_factor=np.asarray(size_factor), **options)


scDeepCluster.pretrain_autoencoder = with_array(scDeepCluster.pretrain_autoencoder)
scDeepCluster.fit = with_array(scDeepCluster.fit)

exchange.start()
counts = exchange.counts()
with h5py.File("data.h5", "w") as file:
    # The data set Y, which would be the types, is left out. It takes whole numbers only.
    file["X"] = np.rint(counts.toarray())
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
