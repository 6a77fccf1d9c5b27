"""Files of a trained model: tensors, numbers and text only, so that loading one never runs code."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ..errors import InputError
from ..runtime.files import atomic_path
from ..runtime.seal import check_archive

FORMAT = 1


def save(content: dict[str, Any], path: str | os.PathLike, kind: str) -> None:
    """Write `content` (dicts and lists of tensors, numbers, text) of `kind` init, fit or model, whole or not at all."""
    # An open file, as torch tells of its own ones only that they failed, not why.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save({"cicl": kind, "format": FORMAT, **content}, file)


def load(path: str | os.PathLike, kind: str) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU.

    Raises
    ------
    InputError
        When the file is missing, is not of this `kind`, or comes from another format version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the {kind} file that an earlier step wrote")
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises on damaged bytes is not enumerable
        raise InputError(f"{path}: this is no {kind} file of CICL, or it is damaged; write it again") from error
    if not isinstance(content, dict) or content.get("cicl") != kind:
        raise InputError(f"{path}: this is no {kind} file of CICL; give the file named <id>.{kind}.pt")
    if content["format"] != FORMAT:
        raise InputError(
            f"{path}: its format is {content['format']} and this version reads {FORMAT}; "
            "write it again with this version"
        )
    return content


class _StepFile:
    """A dataclass whose fields are the content of a file of its `kind`; a field that is None is not written."""

    kind: ClassVar[str]

    def save(self, path: str | os.PathLike) -> None:
        """Write the file, whole or not at all."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        save({name: value for name, value in found.items() if value is not None}, path, self.kind)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read the file, onto the CPU; what another version wrote beside the fields is passed over.

        Raises
        ------
        InputError
            See `load`; also when the file lacks a field.
        """
        content = load(path, cls.kind)
        known = {item.name: content[item.name] for item in fields(cls) if item.name in content}
        try:
            return cls(**known)
        except TypeError as error:
            raise InputError(f"{path}: another version of CICL wrote this {cls.kind} file; write it again") from error


@dataclass
class InitFile(_StepFile):
    """What step init hands to step fit, `<id>.init.pt`.

    Parameters
    ----------
    key
        A hash of the cells and parameters that the rest depends on.
    k, labels
        See `clustering.initial.Initial`.
    stages
        Seconds and memory, for the record of the sample.
    """

    kind: ClassVar[str] = "init"

    key: str
    k: dict[str, Any]
    labels: dict[int, Tensor]
    stages: dict[str, dict[str, float]]


@dataclass
class FitFile(_StepFile):
    """What step fit hands to step cluster, `<id>.fit.pt`.

    Parameters
    ----------
    params, seed, device, hardware, versions, warnings, stages
        For the record of the sample: how it was trained, on what, and for how long.
    asked
        Numbers of clusters that were asked for, such as `auto` or `5,8`.
    n_features, encoder
        Width of the input, and the weights of the encoder.
    embedding
        (cells, features), in the order of `cells`.
    cells, genes
        Names of the cells and of the selected genes.
    history, k
        Losses of the training; the number of clusters and the evidence for it.
    pseudo_labels
        Last pseudo-labels, (cells,); None where every minibatch had its own.
    others
        Partitions into further numbers of clusters: number -> (cells,).
    snapshots
        Snapshots of the training, where they were asked for.
    """

    kind: ClassVar[str] = "fit"

    params: dict[str, Any]
    seed: int
    device: str
    hardware: dict[str, Any]
    versions: dict[str, str]
    warnings: list[str]
    stages: dict[str, dict[str, float]]
    asked: str
    n_features: int
    encoder: dict[str, Tensor]
    embedding: Tensor
    cells: list[str]
    genes: list[str]
    history: dict[str, list[float]]
    k: dict[str, Any]
    others: dict[int, Tensor]
    pseudo_labels: Tensor | None = None
    snapshots: dict[str, Any] | None = None


@dataclass
class ModelFile(_StepFile):
    """What labels new cells, `<id>.model.pt`.

    Parameters
    ----------
    params, versions, n_features, encoder
        See `FitFile`.
    centroids
        Of the clusters in the embedding, (k, features).
    genes, gene_mean, gene_std, size_factor_median, input_kind
        How values become the encoder's input: the genes, the statistics of each, (genes,), the median library size, and
        the kind of the values.
    reference
        Embedded cells with their labels, which annotation takes over; None in models of older versions.
    """

    kind: ClassVar[str] = "model"

    params: dict[str, Any]
    versions: dict[str, str]
    n_features: int
    encoder: dict[str, Tensor]
    centroids: Tensor
    genes: list[str]
    gene_mean: Tensor
    gene_std: Tensor
    size_factor_median: float
    input_kind: str
    reference: dict[str, Any] | None = None
