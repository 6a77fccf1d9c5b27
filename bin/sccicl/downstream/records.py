"""What the steps between the clusters and the figures found, handed over as JSON beside the h5ad."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .annotation import attach_annotation
from .markers import attach_markers

if TYPE_CHECKING:
    from anndata import AnnData


KEYS = {"markers": "table", "annotation": "methods"}


def read_record(path: str | os.PathLike, step: str) -> dict[str, Any]:
    """Read the `<id>.markers.json` or `<id>.annotation.json`.

    Raises
    ------
    InputError
        When the file is not one of this step.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this is no file of {step} ({error}); give the <id>.{step}.json") from error
    if not isinstance(found, dict) or KEYS[step] not in found:
        raise InputError(f"{path}: this is no file of {step}; give the <id>.{step}.json")
    return found


def attach_records(
    adata: "AnnData",
    markers: str | os.PathLike | None = None,
    annotation: str | os.PathLike | None = None,
) -> None:
    """Put what the files hold into `uns["cicl"]` and `obs` of the clustered sample.

    Raises
    ------
    InputError
        When a file is not what it should be, or is of other cells.
    """
    if markers is not None:
        with _lacking_told(markers, "markers"):
            attach_markers(adata, read_record(markers, "markers"))
    if annotation is not None:
        with _lacking_told(annotation, "annotation"):
            attach_annotation(adata, read_record(annotation, "annotation"))


@contextmanager
def _lacking_told(path: str | os.PathLike, step: str) -> Iterator[None]:
    """JSON has no checksum: a file that was edited lacks what its step wrote."""
    try:
        yield
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path}: this is an incomplete file of {step} ({reason}); write the <id>.{step}.json again"
        ) from error
