"""Runs of the pipeline, each in a folder of its own and apart from the user's Nextflow."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import pytest
import simulate_reads

ROOT = Path(__file__).resolve().parents[2]


def search_path() -> str:
    """PATH of the runs: the environment's bin/ first, then what the test has set."""
    return f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"


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


def start(folder: Path, *arguments: str, command: Sequence[str | Path] = ("nextflow",)) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "PATH": search_path(),
        "NXF_HOME": os.environ.get("NXF_HOME", str(ROOT / ".tools" / "nextflow-home")),
        "NXF_ANSI_LOG": "false",
        "NXF_JVM_ARGS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return Run(done.returncode, done.stdout + done.stderr, folder)


@pytest.fixture(scope="session")
def root() -> str:
    """The project's folder."""
    return str(ROOT)


@pytest.fixture(scope="session")
def nextflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """`nextflow("run", ...)` in a new folder, or in `folder`; `command` is another command that starts Nextflow."""

    def run(*arguments: str, folder: Path | None = None, command: Sequence[str | Path] = ("nextflow",)) -> Run:
        return start(folder or tmp_path_factory.mktemp("run"), *arguments, command=command)

    return run


@pytest.fixture(scope="session")
def pipeline(nextflow: Callable[..., Run]) -> Callable[..., Run]:
    """`pipeline("--input", ...)`: the pipeline with these arguments, results to results/."""

    def run(*arguments: str, folder: Path | None = None) -> Run:
        return nextflow("run", str(ROOT), "--outdir", "results", *arguments, folder=folder)

    return run


@dataclass
class Reads:
    """A simulated sample: what was sequenced (`droplets`), the files, and the arguments that name the references."""

    folder: Path
    reference: simulate_reads.Reference
    droplets: anndata.AnnData
    lanes: list[tuple[Path, Path]]

    @property
    def cells(self) -> anndata.AnnData:
        return self.droplets[self.droplets.obs["cell_type"] != "empty"]

    def sheet(self, **columns: str) -> str:
        """Name of a samplesheet of the sample `pbmc`, in `folder`."""
        header = ",".join(("sample", "fastq_1", "fastq_2", *columns))
        rows = [",".join(("pbmc", read_1.name, read_2.name, *columns.values())) for read_1, read_2 in self.lanes]
        (self.folder / "sheet.csv").write_text("\n".join((header, *rows, "")))
        return "sheet.csv"

    def references(self) -> list[str]:
        files = {"fasta": "genome.fa", "gtf": "genes.gtf", "whitelist": "whitelist.txt"}
        return [word for name, file in files.items() for word in (f"--{name}", file)]


@pytest.fixture(scope="session")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Reads:
    """300 cells of 4 types among empty droplets, sequenced on two lanes; a shell must not read the files' names."""
    folder = tmp_path_factory.mktemp("reads")
    reference = simulate_reads.make_reference()
    reference.write(folder)
    droplets = simulate_reads.draw_droplets(reference)
    (folder / "whitelist.txt").write_text("\n".join(simulate_reads.whitelist(droplets)) + "\n")
    return Reads(folder, reference, droplets, simulate_reads.write_fastq(droplets, reference, folder / "it's&(1)"))


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool, path=search_path()) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: `scripts/install-aligners.sh all` as root, or from Bioconda")


@pytest.fixture(scope="session")
def star() -> None:
    """Skip where there is no STAR."""
    needs("STAR")


@pytest.fixture(scope="session")
def alevin() -> None:
    """Skip where salmon, alevin-fry or gffread is missing."""
    needs("salmon", "alevin-fry", "gffread")
