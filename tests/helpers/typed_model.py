"""A small CellTypist model trained on cells of known types, for tests of the annotation and of the whole chain."""

import logging
import os
import tempfile
import warnings
from pathlib import Path

import anndata
import scanpy as sc


def train_celltypist(adata: anndata.AnnData, label_col: str, path: str | os.PathLike) -> Path:
    """Train a CellTypist model on the counts and labels of `adata`, and write it to `path` (.pkl)."""
    os.environ.setdefault("CELLTYPIST_FOLDER", tempfile.mkdtemp())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import celltypist

        celltypist.logger.set_level(logging.ERROR)
        cells = anndata.AnnData(adata.X.copy(), obs=adata.obs[[label_col]].copy(), var=adata.var[[]].copy())
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
        model = celltypist.train(cells, labels=label_col, use_SGD=True, n_jobs=1, max_iter=100, check_expression=False)
    model.write(str(path))
    return Path(path)
