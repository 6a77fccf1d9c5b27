"""PhenoGraph with its defaults on 50 principal components; it finds k."""

import phenograph
from exchange import Exchange, version_of

exchange = Exchange()
exchange.start()
labels = phenograph.cluster(exchange.components(), seed=exchange.seed)[0]
exchange.leave(labels, version_of("PhenoGraph"))
