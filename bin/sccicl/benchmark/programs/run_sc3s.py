"""sc3s (SC3 in Python): consensus of K-means on principal components, k given."""

import sc3s
from exchange import Exchange, version_of

exchange = Exchange()
exchange.start()
cells = exchange.variable_genes()
cells.obsm["X_pca"] = exchange.components()
sc3s.tl.consensus(cells, n_clusters=[exchange.k], random_state=exchange.seed)
exchange.leave(cells.obs[f"sc3s_{exchange.k}"], version_of("sc3s"))
