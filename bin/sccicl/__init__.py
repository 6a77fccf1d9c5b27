"""CICL: cluster-aware iterative contrastive learning for single-cell RNA-seq data."""

from typing import Any

from ._version import __version__ as __version__

__all__ = ["CICL", "InputError", "cicl"]


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds, which `cicl.py --help` need not wait for.
    if name in ("cicl", "CICL"):
        from . import api

        return getattr(api, name)
    if name == "InputError":
        from .errors import InputError

        return InputError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
