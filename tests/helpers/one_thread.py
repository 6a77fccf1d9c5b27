"""Tests are small: one thread is faster than the start of a second, above all beside other work."""

import os

from sccicl.runtime.environment import set_environment

os.environ.setdefault("OMP_NUM_THREADS", "1")
set_environment()
