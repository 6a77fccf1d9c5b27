"""Files of earlier steps, as commands read them."""

import json
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from .group import CHANGED_FILES


def read_step_file(path: Path, key: str, *, backed: bool = False) -> Any:
    """The h5ad that an earlier step wrote, cells and genes in the order of their names.

    `key` of uns["cicl"] shows that it did. `backed`: counts stay there, and all in the order of the file.
    """
    import anndata

    from ..io.hdf5_probe import check_stored_sparse, probe_hdf5
    from ..numerics.ordering import sort_by_name
    from ..runtime.seal import is_intact, is_sealed

    try:
        if not is_intact(path):
            raise ValueError("its checksum is wrong")
        if not is_sealed(path):
            if (ctx := click.get_current_context(silent=True)) is not None:
                ctx.meta.setdefault(CHANGED_FILES, []).append(path)
            probe_hdf5(path)
            check_stored_sparse(path)
        adata = anndata.read_h5ad(path, backed="r" if backed else None)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give the h5ad that the step before wrote") from None
    except Exception as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: this is no h5ad, or it is damaged ({reason}); run the step before again") from error
    if key not in adata.uns.get("cicl", {}):
        raise InputError(
            f"{path}: this h5ad is not an output of the previous step (no {key} in uns['cicl']); run that step first"
        )
    if key == "prepare" and "X_cicl_input" not in adata.obsm:
        raise InputError(f"{path}: this h5ad is of a later step; give the <id>.prepared.h5ad of the step prepare")
    return adata if backed else sort_by_name(adata)


def check_replaceable(target: Path, source: Path, remedy: str = "give another --outdir or --id") -> None:
    """Refuse to replace the file that is read, or an h5ad that is no result of CICL: it may be all there is of it."""
    if not target.exists():
        return
    if target.is_dir():
        raise InputError(f"{target} is a folder, but a file of this name must be written: {remedy}")
    if target.samefile(source):
        raise InputError(f"{target} is the input, and the result would replace it: {remedy}")
    import h5py

    if h5py.is_hdf5(target):
        with h5py.File(target, "r") as file:
            if "uns/cicl" in file:
                return
    raise InputError(f"{target} exists and is no result of CICL, so it is not replaced: {remedy}")


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics of a sample, from the <id>.metrics.json of step score."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this is no metrics file ({error}); run the step score again") from error
    if not isinstance(found, dict) or "id" not in found:
        raise InputError(f"{path}: this is no metrics file (it names no id); give the <id>.metrics.json of step score")
    return found
