#!/usr/bin/env python3
"""Command line of the benchmark of CICL against other methods."""

from sccicl.benchmark.cli import main

if __name__ == "__main__":
    main()
