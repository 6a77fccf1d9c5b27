"""Runs of the pipeline, each in a folder of its own and apart from the user's Nextflow."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """A finished `nextflow` command: exit status, what it printed and the folder that it ran in."""

    status: int
    text: str
    folder: Path

    @property
    def outdir(self) -> Path:
        return self.folder / "results"

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that were started, without the workflow's: `CICL (s1)`."""
        lines = [line.split(" > ")[1] for line in self.text.splitlines() if "Submitted process > " in line]
        return [line.split(":")[-1] for line in lines]


def start(folder: Path, *arguments: str) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "NXF_HOME": os.environ.get("NXF_HOME", str(ROOT / ".tools" / "nextflow-home")),
        "NXF_ANSI_LOG": "false",
        "NXF_JVM_ARGS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["nextflow", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return Run(done.returncode, done.stdout + done.stderr, folder)


@pytest.fixture(scope="session")
def root() -> str:
    """The project's folder."""
    return str(ROOT)


@pytest.fixture(scope="session")
def nextflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """`nextflow("run", ...)` in a new folder, or in `folder`."""

    def run(*arguments: str, folder: Path | None = None) -> Run:
        return start(folder or tmp_path_factory.mktemp("run"), *arguments)

    return run


@pytest.fixture(scope="session")
def pipeline(nextflow: Callable[..., Run]) -> Callable[..., Run]:
    """`pipeline("--input", ...)`: the pipeline with these arguments, results to results/."""

    def run(*arguments: str, folder: Path | None = None) -> Run:
        return nextflow("run", str(ROOT), "--outdir", "results", *arguments, folder=folder)

    return run
