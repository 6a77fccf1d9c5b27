"""After the clusters: markers, cell types, UMAP and t-SNE, metrics, export."""
