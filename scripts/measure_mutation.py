"""Mutation testing of the losses, K-means and the views: the share of wrong programs that the unit tests notice.

usage: python scripts/measure_mutation.py [N_MUTANTS] [SEED]

cosmic-ray makes the mutants and runs the tests of these modules on each, in a copy of the project; it is installed into
.tools/cosmic-ray at first. By default 100 places are drawn by seed 0, with one mutant at each. Annotations are no
places, and bit operations no mutants of arithmetic: both end with a TypeError, which every test would notice. What runs
on a GPU only is left out: the Triton kernels, and blocks that ask for "cuda". Status 1 where fewer than 85 % are
noticed; what is not noticed is printed.
"""

import ast
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".tools" / "cosmic-ray"
COSMIC_RAY = "cosmic-ray==8.7.0"
MODULES = ("loss", "loss_symmetric", "kmeans", "views")
TESTS = ("test_loss", "test_kmeans", "test_views")
LEAST_KILLED = 0.85
LIMIT_S = 120
# Asks this process for a run of the tests, and ends with their status; without an answer they failed.
CLIENT = """
import socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("tests.socket")
    asked.sendall(" ".join(sys.argv[1:]).encode())
    asked.shutdown(socket.SHUT_WR)
    sys.exit(int(asked.recv(9) or 1))
"""
BIT_OPERATORS = ("BitAnd", "BitOr", "BitXor", "LShift", "RShift")


def set_up() -> Path:
    """The program, installed where it is missing."""
    program = ENVIRONMENT / "bin" / "cosmic-ray"
    if not program.exists():
        uv = ROOT / ".venv" / "bin" / "uv"
        subprocess.run([uv, "venv", "--quiet", "--clear", ENVIRONMENT], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", ENVIRONMENT / "bin/python", COSMIC_RAY], check=True
        )
    return program


def copied(folder: Path) -> None:
    """Write the engine, its unit tests and the settings of cosmic-ray into `folder`."""
    shutil.copytree(ROOT / "bin", folder / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests/unit", folder / "tests/unit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "ask.py").write_text(CLIENT)
    tests = " ".join(f"tests/unit/{name}.py" for name in TESTS)
    modules = ", ".join(f"'bin/sccicl/{name}.py'" for name in MODULES)
    (folder / "cosmic-ray.toml").write_text(
        f"""[cosmic-ray]
module-path = [{modules}]
timeout = {LIMIT_S}
excluded-modules = []
test-command = "{sys.executable} -I -S ask.py {tests}"
[cosmic-ray.distributor]
name = "local"
"""
    )


def spans_left_out(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and end, as (line, column), of the annotations of a module and of what runs on a GPU only."""
    nodes = []
    for node in ast.walk(ast.parse(path.read_text())):
        nodes.append(getattr(node, "annotation", None))
        nodes.append(getattr(node, "returns", None))
        if isinstance(node, ast.If) and '"cuda"' in ast.unparse(node.test).replace("'", '"'):
            nodes.append(node)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes if n is not None]


def is_of_interest(operator: str, place: tuple[int, int], spans: list) -> bool:
    """Whether the mutant is in none of the spans and makes no bit operation of something else."""
    words = operator.split("_")
    is_bit = words[-1] in BIT_OPERATORS and words[-2] not in BIT_OPERATORS
    return not is_bit and not any(start <= place < end for start, end in spans)


def draw(session: Path, folder: Path, n_mutants: int, seed: int) -> None:
    """Leave one mutant at each of `n_mutants` places."""
    rng = random.Random(seed)
    spans = {f"bin/sccicl/{name}.py": spans_left_out(folder / f"bin/sccicl/{name}.py") for name in MODULES}
    places: dict[tuple, list[str]] = {}
    with sqlite3.connect(session) as database:
        rows = database.execute(
            "SELECT module_path, operator_name, occurrence, start_pos_row, start_pos_col, job_id FROM mutation_specs "
            "ORDER BY 1, 4, 5, 2, 3"
        )
        for module, operator, _, row, column, job in rows:
            if is_of_interest(operator, (row, column), spans[module]):
                places.setdefault((module, row, column), []).append(job)
        chosen = rng.sample(sorted(places), min(n_mutants, len(places)))
        kept = [rng.choice(places[place]) for place in chosen]
        print(f"{len(kept)} mutants of {len(places)} places", flush=True)
        marks = ",".join("?" * len(kept))
        for table in ("mutation_specs", "work_items"):
            database.execute(f"DELETE FROM {table} WHERE job_id NOT IN ({marks})", kept)


def run_tests(asked: socket.socket) -> int:
    """Run the tests in a fork of this process, which has imported all but the engine; the id of the fork."""
    import pytest

    if (child := os.fork()) != 0:
        return child
    signal.alarm(LIMIT_S)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    files = asked.recv(4096).decode().split()
    asked.sendall(str(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *files]))).encode())
    asked.close()
    os._exit(0)


def serve_while(process: subprocess.Popen, server: socket.socket) -> None:
    """Run tests for whoever asks until the process ends."""
    while process.poll() is None:
        try:
            asked, _ = server.accept()
        except TimeoutError:
            continue
        asked.settimeout(None)
        with asked:
            child = run_tests(asked)
        os.waitpid(child, 0)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, process.args))} failed: look at what it printed")


def outcomes(session: Path) -> list[tuple[str, str, int, str, str]]:
    """Module, operator, line, outcome and difference of every mutant."""
    with sqlite3.connect(session) as database:
        return database.execute(
            "SELECT module_path, operator_name, start_pos_row, test_outcome, diff FROM mutation_specs "
            "JOIN work_results USING (job_id) ORDER BY 1, 3"
        ).fetchall()


def main(n_mutants: int = 100, seed: int = 0) -> int:
    """Print the share and the mutants that live; the exit status."""
    import psutil  # noqa: F401
    import sklearn.cluster
    import sklearn.datasets  # noqa: F401
    import torch

    torch.set_num_threads(1)
    # A mutant has the size and the second of the one before.
    sys.dont_write_bytecode = True
    program = set_up()
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as server:
        folder = Path(name)
        copied(folder)
        os.chdir(folder)
        server.bind("tests.socket")
        server.listen()
        server.settimeout(0.2)
        session = folder / "session.sqlite"
        serve_while(subprocess.Popen([program, "baseline", "cosmic-ray.toml"]), server)
        serve_while(subprocess.Popen([program, "init", "cosmic-ray.toml", session.name]), server)
        draw(session, folder, n_mutants, seed)
        serve_while(subprocess.Popen([program, "exec", "cosmic-ray.toml", session.name]), server)
        found = outcomes(session)
        os.chdir(ROOT)
    living = [mutant for mutant in found if mutant[3] != "KILLED"]
    for module, operator, row, outcome, difference in living:
        print(f"\n{module}:{row} {operator} {outcome}\n{difference}")
    killed = len(found) - len(living)
    print(f"{killed} of {len(found)} mutants are noticed: {killed / len(found):.0%}")
    return int(killed < LEAST_KILLED * len(found))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
