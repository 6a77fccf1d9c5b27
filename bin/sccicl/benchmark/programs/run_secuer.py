"""Secuer with its defaults on 50 principal components; it finds k."""

from exchange import Exchange, version_of
from secuer.secuer import secuer

exchange = Exchange()
exchange.start()
labels = secuer(fea=exchange.components(), seed=exchange.seed)
exchange.leave(labels, version_of("secuer"))
