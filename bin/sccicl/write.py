"""Outputs that are there whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def check_folder(folder: Path, option: str = "--outdir") -> None:
    """Raise InputError when no file can be written to `folder`, which need not be there yet; nothing is made.

    For the start of a command, as the outputs come last: it should not cost the training.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"{existing} is a file, so it holds no outputs: give a folder with {option}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"nothing can be written to the folder {existing}: choose another one with {option}")


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well.

    The temporary file lies in the same folder and keeps the suffix, as writers choose a format by it.
    After an error it is removed and whatever was at `path` before is untouched.

    Raises
    ------
    InputError
        When nothing can be written to the folder.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(
            f"nothing can be written to the folder {path.parent} ({error.strerror}): choose another one with --outdir"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; an output has the permissions that any new file here would have.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_h5ad(adata: "AnnData", path: str | os.PathLike) -> None:
    """Write `adata` to `path` (gzip), whole or not at all.

    Columns of `obs` and `var` that h5ad cannot hold, or that older anndata cannot read, become strings, in `adata` too.
    """
    adata.obs, adata.var = _storable(adata.obs), _storable(adata.var)
    with atomic_path(path) as temporary:
        adata.write_h5ad(temporary, compression="gzip", compression_opts=1)


def _storable(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Copy `frame` so that every h5ad reader takes it: what is not numbers or truth values becomes strings."""
    import pandas as pd

    frame = frame.copy(deep=False).infer_objects()
    frame.index = frame.index.astype(object)
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            if column.cat.categories.dtype.kind not in "iufb":
                frame[name] = column.cat.rename_categories(column.cat.categories.map(str).astype(object))
        elif column.dtype.kind not in "iufb":
            strings = column.map(str, na_action="ignore").astype(object)
            frame[name] = pd.Categorical(strings) if strings.isna().any() else strings
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_json(value: dict, path: str | os.PathLike) -> None:
    """Write `value` to `path` as JSON; NumPy scalars and arrays become numbers and lists."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=_plain, allow_nan=False) + "\n", encoding="utf-8")
