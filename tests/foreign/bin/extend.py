#!/usr/bin/env python3
"""Put tables that are indexed by cell into an h5ad: the file's name is the key of obsm, its columns go to obs."""

import argparse
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("base")
parser.add_argument("--obs", nargs="*", default=[])
parser.add_argument("--obsm", nargs="*", default=[])
given = parser.parse_args()
readers = {".parquet": pd.read_parquet, ".pkl": pd.read_pickle}
adata = anndata.read_h5ad(given.base)
for path in map(Path, given.obs):
    table = readers[path.suffix](path).reindex(adata.obs_names)
    assert not set(table) & set(adata.obs), f"{path} has columns that are there already"
    adata.obs = pd.concat([adata.obs, table], axis=1)
for path in map(Path, given.obsm):
    assert path.stem not in adata.obsm, f"{path} is there twice"
    adata.obsm[path.stem] = np.float32(readers[path.suffix](path).reindex(adata.obs_names).to_numpy())
adata.write_h5ad("final.h5ad")
