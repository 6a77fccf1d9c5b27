"""The image that `make image` has built, and the engine of containers that has it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if os.getuid() == 0 and not Path("/run/systemd/system").exists():
    os.environ.setdefault("CONTAINERS_CONF", str(ROOT / "containers" / "containers.conf"))
sys.path.insert(0, str(ROOT / "tests" / "pipeline"))


def version() -> str:
    return re.search(r'__version__ = "(.*)"', (ROOT / "bin" / "sccicl" / "_version.py").read_text())[1]


def has(engine: str, image: str) -> bool:
    found = shutil.which(engine) and subprocess.run(
        [engine, "image", "inspect", image], capture_output=True, check=False
    )
    return bool(found) and found.returncode == 0


@pytest.fixture(scope="session")
def image() -> tuple[str, str]:
    """Engine and name of the CPU image; without one the test is left out, unless CICL_IMAGE_REQUIRED is set."""
    name = f"cicl.localhost/cicl-nextflow:{version()}"
    for engine in ("podman", "docker"):
        if has(engine, name):
            return engine, name
    if os.environ.get("CICL_IMAGE_REQUIRED"):
        pytest.fail(f"there is no image {name}: make image")
    pytest.skip(f"there is no image {name}: make image")
