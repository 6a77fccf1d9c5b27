#!/usr/bin/env python3
"""Command line of CICL: cluster-aware iterative contrastive learning for single-cell RNA-seq data."""

import sys

from sccicl.runtime import set_environment

set_environment()

from sccicl.cli import main  # noqa: E402  (the caches come first)

if __name__ == "__main__":
    sys.exit(main())
