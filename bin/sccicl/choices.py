"""Options of the method that are words, apart from the code that needs torch, for which `--help` need not wait."""

from typing import Literal

InputKind = Literal["counts", "normalised", "log"]
View = Literal["unit-noise", "noise", "mask"]
ClusterLossForm = Literal["ratio", "supcon", "other-view"]
GeneSelection = Literal["seurat", "cell_ranger"]
EncoderForm = Literal["post-norm", "pca"]
PseudoLabels = Literal["minibatch", "pool"]
Distance = Literal["euclidean", "cosine"]
Protocol = Literal["10XV2", "10XV3", "10XV4"]
Doublets = Literal["off", "mark", "remove"]
