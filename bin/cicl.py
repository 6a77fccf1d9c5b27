#!/usr/bin/env python3
"""Command line of CICL: cluster-aware iterative contrastive learning for single-cell RNA-seq data."""

from sccicl.cli import main

if __name__ == "__main__":
    main()
