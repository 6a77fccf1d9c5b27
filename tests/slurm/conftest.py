"""A Slurm of one node on this machine, and runs of the pipeline through it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "unit"), str(ROOT / "tests" / "pipeline")]


def slurm_command(action: str) -> None:
    subprocess.run([str(ROOT / "scripts" / "slurm.sh"), action], check=True)


@pytest.fixture(scope="session")
def slurm():
    """Slurm is up: `slurm("kill-node")`, `slurm("up")`."""
    missing = [name for name in ("slurmctld", "slurmd", "munged") if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        pytest.fail(f"missing: {', '.join(missing) or 'root'}; apt-get install slurm-wlm munge, and run as root")
    os.environ["SLURM_CONF"] = f"{os.environ.get('SLURM_STATE', '/var/tmp/cicl-slurm')}/slurm.conf"
    slurm_command("up")
    yield slurm_command
    subprocess.run(["scancel", "--user", "root"], check=False)
    slurm_command("down")
