"""Files of a trained model: tensors, numbers and text only, so that loading one never runs code."""

import os
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..runtime.files import atomic_path
from ..runtime.seal import check_archive

FORMAT = 1


def save(content: dict[str, Any], path: str | os.PathLike, kind: str) -> None:
    """Write `content` (dicts and lists of tensors, numbers, text) of `kind` fit or model, whole or not at all."""
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
