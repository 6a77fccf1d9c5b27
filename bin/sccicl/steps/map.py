"""Step map: label new cells by the clusters of a saved model."""

import numpy as np
import torch
from anndata import AnnData

from ..clustering.assign import assign_clusters
from ..config import Config
from ..downstream.annotate_reference import embed_cells
from ..io.model_file import ModelFile


def map_sample(adata: AnnData, model: ModelFile, *, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Cluster (cells,) and confidence (cells,) of new cells by a saved model."""
    h = torch.from_numpy(embed_cells(adata, model, device)).to(device)
    return assign_clusters(h, model.centroids.to(device), Config(**model.params).student_df)
