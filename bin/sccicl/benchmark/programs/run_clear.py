"""CLEAR from the user's checkout: z-scores of 2,000 genes, the full example of its README; k given, or Leiden."""

import numpy as np
import torch  # noqa: F401
from exchange import Exchange, commit_of, empty_modules, run_script, without_gpu

import scanpy as sc

exchange = Exchange()
empty_modules("torchvision", "torchvision.models", "torchvision.datasets", "PIL")
without_gpu()
exchange.start()
# CLEAR seeds torch and random, and draws its views with numpy.
np.random.seed(exchange.seed)
cells = exchange.variable_genes()
del cells.layers["counts"]
cells.X = cells.X.toarray()
sc.pp.scale(cells, max_value=10)
cells.write_h5ad("x.h5ad")
folder = exchange.options["folder"]
run_script(
    folder,
    "CLEAR.py",
    *("--input_h5ad_path", "x.h5ad", "--epochs", 100, "--lr", 1, "--batch_size", 512, "--pcl_r", 1024, "--cos"),
    *("--gpu", 0, "--seed", exchange.seed, "-j", 0, "--save_dir", "result"),
    *(("--num_cluster", exchange.k) if exchange.k else ()),
)
if exchange.k:
    table = np.genfromtxt("result/CLEAR/pd_label_CLEAR_x.csv", delimiter=",", skip_header=1, dtype=int, ndmin=2)
    labels = table[:, 1]
else:
    cells.obsm["feature"] = np.loadtxt("result/CLEAR/feature_CLEAR_x.csv", delimiter=",", ndmin=2)
    sc.pp.neighbors(cells, use_rep="feature", random_state=exchange.seed)
    sc.tl.leiden(cells, resolution=1, random_state=exchange.seed)
    labels = cells.obs["leiden"]
exchange.leave(labels, commit_of(folder))
