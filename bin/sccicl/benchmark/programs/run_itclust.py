"""ItClust in its own old Python: the user's source, whose types are known, then the cells; it finds k.

Old anndata cannot read an h5ad of today, so that the source is read by h5py. Cells that ItClust drops (under 100 genes)
get one cluster of their own, "none".
"""

import os
import sys

import h5py
import numpy as np
import tensorflow as tf
from anndata import AnnData
from exchange import Exchange, version_of
from scipy import sparse


def strings(values):
    """Text of a column of an h5ad: an array of strings, or categories and codes."""
    if isinstance(values, h5py.Group):
        names, codes = strings(values["categories"]), values["codes"][()]
        return np.array([names[code] if code >= 0 else "" for code in codes], dtype=object)
    return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in values[()]], dtype=object)


def read_source(path, label):
    """Counts (cells x genes), gene names and types of an h5ad."""
    with h5py.File(path, "r") as file:
        x = file["X"]
        if isinstance(x, h5py.Group):
            shape = tuple(x.attrs["shape"])
            encoding = x.attrs["encoding-type"]
            encoding = encoding.decode() if isinstance(encoding, bytes) else encoding
            kind = sparse.csc_matrix if encoding == "csc_matrix" else sparse.csr_matrix
            counts = kind((x["data"][()], x["indices"][()], x["indptr"][()]), shape=shape).tocsr()
        else:
            counts = sparse.csr_matrix(x[()])
        var, obs = file["var"], file["obs"]
        if label not in obs:
            sys.exit(f"the source has no obs[{label!r}]")
        index = var.attrs.get("_index", "_index")
        return counts, strings(var[index.decode() if isinstance(index, bytes) else index]), strings(obs[label])


exchange = Exchange()
import ItClust as itclust

exchange.start()
np.random.seed(exchange.seed)
tf.set_random_seed(exchange.seed)
counts, genes, types = read_source(exchange.options["source"], exchange.options.get("label", "cell_type"))
own = exchange.genes()
# ItClust compares names in capitals, so that mouse and human share some.
shared = len({name.upper() for name in genes} & {name.upper() for name in own})
if shared < 100:
    sys.exit(f"the source shares {shared} gene names with this data set: ItClust needs a source of the same kind")
source = AnnData(counts.astype("float32"))
source.var_names, source.obs["celltype"] = genes, types
source.var_names_make_unique()
source = source[types != ""].copy()
target = AnnData(exchange.counts())
target.var_names = own
target.var_names_make_unique()
target.obs_names = [str(i) for i in range(target.shape[0])]
target.obs["celltype"] = "unknown"
n_cells = target.shape[0]

model = itclust.transfer_learning_clf()
model.fit(source, target)
found = model.predict(write=False)[0]
labels = dict(zip([name.replace("-target", "") for name in found.iloc[:, 0].astype(str)], found.iloc[:, 1]))
name = os.path.splitext(os.path.basename(exchange.options["source"]))[0]
exchange.leave(
    [labels.get(str(i), "none") for i in range(n_cells)], "{}, source {}".format(version_of("ItClust"), name)
)
