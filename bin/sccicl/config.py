"""Every number of the method, with the two presets."""

from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

from .errors import InputError

InputKind = Literal["counts", "normalised", "log"]
View = Literal["unit-noise", "noise", "mask"]
ClusterLossForm = Literal["ratio", "supcon"]
GeneSelection = Literal["seurat", "cell_ranger"]
EncoderForm = Literal["post-norm", "pca"]
PseudoLabels = Literal["minibatch", "ensemble"]
Distance = Literal["euclidean", "cosine"]
Protocol = Literal["10XV2", "10XV3", "10XV4"]
Doublets = Literal["off", "mark", "remove"]
# No number of the method is larger, as infinity would be: they are written into HDF5, and read by other programs.
LARGEST = 2**31 - 1


def _number(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


def _choice(default: str, text: str, choices: Any) -> Any:
    return field(default=default, metadata={"help": text, "choices": get_args(choices)})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Parameters of preparation, training and clustering; the defaults are the paper's (preset `paper`).

    A field is an option of the command line and a key of `uns["cicl"]["params"]`. Learning rates, weight decay and
    dropout are not printed in the paper: they are those of its public reference implementation.
    """

    n_genes: int = _number(500, "Highly variable genes that are kept.", low=2)
    gene_selection: GeneSelection = _choice("seurat", "Whose dispersion orders the genes.", GeneSelection)
    max_value: float | None = _number(None, "Clip z-scores at this absolute value.", low=0.1)

    encoder: EncoderForm = _choice(
        "post-norm", "Encoder as wide as the genes, or one that starts at the principal components.", EncoderForm
    )
    embedding_size: int = _number(20, "Features of the embedding (encoder `pca`).", low=1)
    n_layers: int = _number(4, "Layers of the encoder.", low=1)
    value_size: int | None = _number(None, "Width of the attention's values; the number of genes if not given.", low=1)
    feed_forward: int = _number(1024, "Width of the encoder's feed-forward nets.", low=1)
    dropout: float = _number(0.2, "Dropout within the encoder.", low=0, high=0.99)
    projection_hidden: int = _number(1024, "Width of the projection head's hidden layer.", low=1)
    projection_size: int = _number(512, "Width of the projections.", low=1)

    view: View = _choice("unit-noise", "How a view of a cell is made.", View)
    noise_sd: float = _number(0.5, "Standard deviation of the noise (view `noise`).", low=0)
    noise_fraction: float = _number(0.8, "Fraction of a cell's genes that get noise (view `noise`).", low=0, high=1)
    mask_fraction: float = _number(0.6, "Fraction of a cell's genes that are masked (view `mask`).", low=0, high=1)

    neighbours: int = _number(
        0,
        "The second view is of one of this many nearest neighbours instead of the cell; 0: of the cell itself.",
        low=0,
    )

    pseudo_labels: PseudoLabels = _choice(
        "minibatch",
        "Pseudo-labels by K-means of every minibatch, or of all cells, from an ensemble of partitions of components.",
        PseudoLabels,
    )
    distance: Distance = _choice("euclidean", "Distance of K-means of all cells.", Distance)
    temperature: float = _number(0.5, "Temperature of both contrastive losses.", low=0.05)
    instance_loss_weight: float = _number(1.0, "Weight of the instance-wise loss.", low=0)
    cluster_loss_weight: float = _number(0.1, "Weight lambda of the cluster-aware loss; 0 leaves it out.", low=0)
    cluster_loss: ClusterLossForm = _choice("ratio", "Form of the cluster-aware loss.", ClusterLossForm)
    student_df: float = _number(1.0, "Degrees of freedom of the Student's t assignment.", low=1e-3)

    epochs: int = _number(1000, "Passes over all cells.", low=1)
    min_steps: int = _number(1, "Minimum number of optimiser steps; small samples are trained for more epochs.", low=1)
    batch_size: int = _number(6000, "Cells in a minibatch.", low=2)
    learning_rate: float = _number(1e-4, "Learning rate of the encoder.", low=0, high=1)
    head_learning_rate: float = _number(1e-5, "Learning rate of the projection head.", low=0, high=1)
    weight_decay: float = _number(1e-3, "Weight decay.", low=0)

    def __post_init__(self) -> None:
        for item in fields(self):
            value, meta = getattr(self, item.name), item.metadata
            option = f"--{item.name.replace('_', '-')}"
            if "choices" in meta and value not in meta["choices"]:
                raise InputError(f"{option} must be one of {', '.join(meta['choices'])}, not '{value}'")
            if value is None or "low" not in meta:
                continue
            is_whole = item.type in (int, int | None)
            if not isinstance(value, Integral if is_whole else Real):
                raise InputError(f"{option} must be a {'whole ' if is_whole else ''}number, not {value!r}")
            if meta["low"] is not None and not value >= meta["low"]:
                raise InputError(f"{option} must be at least {meta['low']:g}, not {value}")
            if meta["high"] is not None and not value <= meta["high"]:
                raise InputError(f"{option} must be at most {meta['high']:g}, not {value}")
            if not value <= LARGEST:
                raise InputError(f"{option} must be at most {LARGEST}, not {value}")

    def changed(self, **values: Any) -> "Config":
        """A copy with the values that are not None replaced."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """Field names and values, without those that are None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


PRESETS: dict[str, Config] = {
    "paper": Config(),
    "default": Config(
        n_genes=2000,
        gene_selection="cell_ranger",
        max_value=10.0,
        encoder="pca",
        n_layers=2,
        feed_forward=80,
        dropout=0.0,
        projection_hidden=128,
        projection_size=64,
        view="mask",
        neighbours=5,
        pseudo_labels="ensemble",
        distance="cosine",
        instance_loss_weight=0.1,
        cluster_loss_weight=1.0,
        cluster_loss="supcon",
        epochs=10,
        min_steps=150,
        batch_size=256,
        learning_rate=3e-4,
        head_learning_rate=3e-4,
        weight_decay=0.0,
    ),
}


def preset_config(name: str) -> Config:
    """The preset of that name; InputError where there is none."""
    if name not in PRESETS:
        raise InputError(f"the preset must be one of {', '.join(PRESETS)}, not '{name}'")
    return PRESETS[name]
