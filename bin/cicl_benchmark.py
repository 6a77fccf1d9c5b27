#!/usr/bin/env python3
"""Command line of the benchmark of CICL against other methods."""

import sys

from sccicl.runtime import set_environment

set_environment()

from sccicl.benchmark.cli import main  # noqa: E402  (the caches come first)

if __name__ == "__main__":
    sys.exit(main())
