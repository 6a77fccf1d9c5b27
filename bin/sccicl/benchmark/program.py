"""Methods that are programs of others: a process in an empty folder, with one exchange of files for all of them.

What a program gets: `counts.mtx` (genes x cells, Matrix Market), `genes.tsv` and `cells.tsv` (a name a line, cells are
called 0, 1, ...), and `options.tsv` (name, tab, value: k, seed and the user's options). Its arguments are k, 0 where it
has to be found, and the seed. What it leaves: `clusters.txt` (a label a line, in the order of `cells.tsv`),
`seconds.txt` (seconds after its libraries were loaded) and `version.txt` (one line).
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..config import InputKind
from ..errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData


SCRIPTS = Path(__file__).parent / "programs"
# Seconds that a program may take for one run, and between two looks at its memory.
LIMIT, POLL = 600.0, 0.2
CLUSTERS, SECONDS, VERSION = "clusters.txt", "seconds.txt", "version.txt"
# Options of every program, and those that name a file or folder.
COMMON_OPTIONS = ("limit", "max_cells")
PATHS = ("folder", "python", "rscript", "source")
# Characters that part options in a plan, or end a word of a shell.
FORBIDDEN = "\t\n\r;'"


class ProgramError(Exception):
    """A run of a program gave no clusters; the text says why."""


class Clusters(NamedTuple):
    """`labels` (cells,), `seconds` after loading, peak `memory` (MB) of the process and its children, `version`."""

    labels: np.ndarray
    seconds: float
    memory: float
    version: str


@dataclass(frozen=True)
class Program:
    """A script of `programs/` that calls what others have written.

    Parameters
    ----------
    title
        Name in the tables.
    script
        Run by Rscript where it ends with `.R`, else by Python.
    packages
        R packages or Python modules that must be installed for that Rscript or Python.
    checkout
        File that must be in the user's checkout (option `folder`).
    needs, may
        Options that have to be given, and those that may be given.
    fixed_seed
        The seed cannot be set: one run for a data set.
    max_cells
        A larger data set is sampled down to so many cells, at random.
    """

    title: str
    script: str
    tracks: tuple[Literal["given", "estimated"], ...]
    packages: tuple[str, ...] = ()
    checkout: str | None = None
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    fixed_seed: bool = False
    max_cells: int | None = None
    package: None = None

    @property
    def is_r(self) -> bool:
        """Whether it runs in R."""
        return self.script.endswith(".R")

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that it takes."""
        own = ("rscript" if self.is_r else "python", *(["folder"] if self.checkout else []), *self.needs, *self.may)
        return (*COMMON_OPTIONS, *dict.fromkeys(own))

    def command(self, options: dict[str, str]) -> list[str]:
        """Interpreter and script."""
        if self.is_r:
            return [options.get("rscript", "Rscript"), "--no-init-file", str(SCRIPTS / self.script)]
        return [options.get("python", sys.executable), str(SCRIPTS / self.script)]


# What is installed -------------------------------------------------------------------------------------------------


def read_options(path: Path | None, programs: dict[str, Program]) -> dict[str, dict[str, str]]:
    """Options of programs from a TOML file with a table for each, such as `[clear]` with `folder = "/home/me/CLEAR"`.

    Paths that do not begin with `/` start in the folder of the file.

    Raises
    ------
    InputError
        When the file cannot be read, or names a program or option that does not exist.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: this is no TOML file that can be read ({error}); correct it") from error
    found = {}
    for name, table in tables.items():
        if name not in programs or not isinstance(table, dict):
            raise InputError(f"{path}: there is no program '{name}'; choose from {', '.join(programs)}")
        options = {key: str(value) for key, value in table.items()}
        checked(name, programs[name], options, where=str(path))
        for key in set(PATHS) & set(options):
            # A program found on the PATH stays a name; the file itself may be a link, whose own folder counts.
            if key in ("folder", "source") or "/" in options[key]:
                options[key] = os.path.abspath(path.resolve().parent / Path(options[key]).expanduser())
        found[name] = options
    return found


def checked(name: str, program: Program, options: dict[str, str], *, where: str) -> None:
    """Refuse options that the program does not take, and values that cannot be meant."""
    for key, value in options.items():
        if key not in program.options:
            raise InputError(f"{where}: {name} has no option '{key}': give one of {', '.join(program.options)}")
        if any(character in value for character in FORBIDDEN) or not value:
            raise InputError(f"{where}: {name}, {key} = {value!r}: give text without quotes, ';', tabs or line ends")
        if key in COMMON_OPTIONS and not (value.replace(".", "", 1).isdigit() and float(value) > 0):
            raise InputError(f"{where}: {name}, {key} = {value}: give a number above 0")


def reason(program: Program, options: dict[str, str]) -> str | None:
    """Why a program cannot be run here, None where it can."""
    for name in (*program.needs, *(("folder",) if program.checkout else ())):
        if name not in options:
            return f"--benchmark_programs does not give its {name} (docs/benchmark-systems.md)"
    if program.checkout and not (Path(options["folder"]) / program.checkout).is_file():
        return f"the folder {options['folder']} has no {program.checkout}"
    if "source" in program.needs and not Path(options["source"]).is_file():
        return f"the source {options['source']} is no file"
    interpreter = program.command(options)[0]
    if shutil.which(interpreter) is None:
        return f"{interpreter} is not installed"
    for package in program.packages:
        if _installed(program, interpreter, package) is None:
            return f"{interpreter} has no {'R package' if program.is_r else 'Python package'} {package}"
    return None


def _installed(program: Program, interpreter: str, package: str) -> str | None:
    """Version of a package (empty where it has none), None where it is missing; the package is not loaded."""
    if program.is_r:
        code = f"cat(as.character(packageVersion('{package}')))"
    else:
        # importlib.metadata is not there before Python 3.8
        code = (
            f"import importlib.util, sys\nif importlib.util.find_spec('{package}') is None: sys.exit(1)\n"
            "try:\n    import importlib.metadata as m\n"
            f"    print(m.version('{package}'))\nexcept Exception: pass"
        )
    with tempfile.TemporaryDirectory() as folder, suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [interpreter, *(["--no-init-file", "-e"] if program.is_r else ["-c"]), code],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            env=environment(),
        )
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def installed_version(program: Program, options: dict[str, str]) -> str:
    """What a result depends on outside this package: versions of its packages, the files of its checkout, options."""
    import hashlib

    interpreter = program.command(options)[0]
    parts = [f"{name} {_installed(program, interpreter, name)}" for name in program.packages]
    parts += [f"{key}={value}" for key, value in sorted(options.items())]
    if program.checkout:
        digest = hashlib.sha256()
        for path in sorted(Path(options["folder"]).rglob("*.py")):
            digest.update(path.read_bytes())
        parts.append(digest.hexdigest())
    if "source" in program.needs:
        status = Path(options["source"]).stat()
        parts.append(f"{status.st_size} {status.st_mtime_ns}")
    return "; ".join(parts)


# The exchange ------------------------------------------------------------------------------------------------------


def sampled(n_cells: int, max_cells: int | None) -> np.ndarray:
    """Rows of a random sample of `max_cells` cells, in order; all where there are no more. The same for every seed."""
    if max_cells is None or n_cells <= max_cells:
        return np.arange(n_cells)
    return np.sort(np.random.default_rng(0).choice(n_cells, max_cells, replace=False))


def write_exchange(cells: "AnnData", folder: Path, input_kind: InputKind) -> None:
    """Write counts, genes and cells for programs; logarithms are undone, as programs take their own."""
    from scipy import sparse
    from scipy.io import mmwrite

    counts = sparse.csc_matrix(cells.layers["counts"].T, dtype=np.float64)
    if input_kind == "log":
        counts.data = np.expm1(counts.data)
    whole = not np.any(counts.data % 1)
    mmwrite(folder / "counts.mtx", counts.astype(np.int64) if whole else counts, precision=9)
    (folder / "genes.tsv").write_text("".join(f"{name}\n" for name in cells.var_names), encoding="utf-8")
    (folder / "cells.tsv").write_text("".join(f"{i}\n" for i in range(cells.n_obs)), encoding="utf-8")


def run_program(
    program: Program, exchange: Path, k: int | None, seed: int, options: dict[str, str], *, n_cells: int
) -> Clusters:
    """Run a program in a folder of its own, which has a copy of the files in `exchange` and nothing else.

    Parameters
    ----------
    k
        Number of clusters, None where the program has to find it.
    n_cells
        Cells in `exchange`: so many labels are expected.

    Raises
    ------
    ProgramError
        When the program cannot be started, ends with an error, takes longer than the limit, or does not leave one
        label for each cell.
    """
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        inside, log = Path(folder) / "run", Path(folder) / "log"
        shutil.copytree(exchange, inside)
        settings = {"k": str(k or 0), "seed": str(seed), **options}
        (inside / "options.tsv").write_text("".join(f"{key}\t{value}\n" for key, value in settings.items()))
        command = [*program.command(options), str(k or 0), str(seed)]
        start = time.perf_counter()
        memory = _watch(command, inside, log, float(options.get("limit", LIMIT)))
        return _result(inside, log, n_cells, time.perf_counter() - start, memory)


def environment() -> dict[str, str]:
    """The environment without what would lead another Python to the packages of this one."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}


def _watch(command: list[str], folder: Path, log: Path, limit: float) -> float:
    """Run a command to its end, and all that it started; peak memory in MB."""
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramError(f"{command[0]} cannot be started ({error.strerror})") from error
    with _family(process) as look:
        deadline, peak = time.perf_counter() + limit, 0.0
        while process.poll() is None:
            peak = max(peak, look())
            if time.perf_counter() > deadline:
                raise ProgramError(f"it took more than {limit:g} s, the limit")
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL)
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
        raise ProgramError(f"it ended with {how}: {_last_line(log)}")
    return peak


@contextmanager
def _family(process: "subprocess.Popen[bytes]") -> Iterator[Callable[[], float]]:
    """A function for the memory (MB) of a process and its children; in the end none of them is left running."""
    import psutil

    seen: set[Any] = set()

    def look() -> float:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            seen.update([parent, *parent.children(recursive=True)])
        total = 0
        for member in seen:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += member.memory_info().rss
        return total / 2**20

    try:
        yield look
    finally:
        look()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for member in seen:
            # psutil compares the time of the start: a number that has gone to another process is left alone.
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                member.kill()
        process.wait()
        psutil.wait_procs(seen, timeout=5)


def _last_line(log: Path) -> str:
    """What the program said last: its last line that is not blank, shortened."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    # R ends with one of these two after the line that tells what went wrong.
    told = [line for line in lines if line and not line.startswith(("Execution halted", "Calls: "))]
    return told[-1][:300].replace("\t", " ") if told else "it said nothing"


def _result(folder: Path, log: Path, n_cells: int, wall: float, memory: float) -> Clusters:
    def text(name: str) -> str:
        try:
            return (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ProgramError(f"it left no {name}: {_last_line(log)}") from None

    labels = [line.strip() for line in text(CLUSTERS).splitlines()]
    if len(labels) != n_cells:
        raise ProgramError(f"it gave {len(labels)} labels for {n_cells} cells")
    if not all(labels):
        raise ProgramError(f"it gave no label for cell {labels.index('')}")
    try:
        seconds = float(text(SECONDS))
    except ValueError:
        seconds = float("nan")
    if not 0 <= seconds <= wall:
        raise ProgramError(f"{SECONDS} has no time that can be true: {text(SECONDS).strip()!r} of {wall:.1f} s")
    return Clusters(np.array(labels), seconds, memory, " ".join(text(VERSION).split()))
