"""The command line: options in, messages out."""

from . import count, downstream, sample, training
from .group import main

__all__ = ["count", "downstream", "main", "sample", "training"]
