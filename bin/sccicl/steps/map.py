"""Step map: label new cells by the clusters of a saved model."""

from typing import TYPE_CHECKING

import numpy as np

from ..config import Config

if TYPE_CHECKING:
    import torch
    from anndata import AnnData

    from ..io.model_file import ModelFile


def map_sample(adata: "AnnData", model: "ModelFile", *, device: "torch.device") -> tuple[np.ndarray, np.ndarray]:
    """Cluster (cells,) and confidence (cells,) of new cells by a saved model."""
    import torch

    from ..clustering.assign import assign_clusters
    from ..downstream.annotate_reference import embed_cells

    h = torch.from_numpy(embed_cells(adata, model, device)).to(device)
    return assign_clusters(h, model.centroids.to(device), Config(**model.params).student_df)
