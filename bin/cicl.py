#!/usr/bin/env python3
"""Command line of CICL: cluster-aware iterative contrastive learning for single-cell RNA-seq data."""

import sys

try:
    from sccicl.cli import main
except ModuleNotFoundError as missing:
    if str(missing.name).startswith("sccicl"):
        raise
    print(
        f"ERROR: the Python on the PATH ({sys.executable}) has no package '{missing.name}': run make setup once and "
        "then source .venv/bin/activate, or use a profile such as -profile docker",
        file=sys.stderr,
    )
    sys.exit(2)

if __name__ == "__main__":
    main()
