"""The algorithm on arrays: number of clusters, ensemble, linkage, fit, final clusters."""
