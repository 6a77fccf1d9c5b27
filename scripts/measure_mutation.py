"""Mutation testing of the losses, K-means and the views: the share of wrong programs that the unit tests notice.

usage: python scripts/measure_mutation.py [N_MUTANTS] [SEED]

cosmic-ray makes the mutants and runs the tests of these modules on each, in a copy of the project; it is installed into
.tools/cosmic-ray at first. By default 100 places are drawn by seed 0, with one mutant at each. Annotations are no
places, and bit operations no mutants of arithmetic: both end with a TypeError, which every test would notice. The Triton
kernels are left out, as no GPU is here. Status 1 where fewer than 85 % are noticed; what is not noticed is printed.
"""

import ast
import random
import shutil
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
BIT_OPERATORS = ("BitAnd", "BitOr", "BitXor", "LShift", "RShift")


def set_up() -> Path:
    """The program, installed where it is missing."""
    program = ENVIRONMENT / "bin" / "cosmic-ray"
    if not program.exists():
        uv = ROOT / ".venv" / "bin" / "uv"
        subprocess.run([uv, "venv", "--quiet", "--clear", ENVIRONMENT], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", ENVIRONMENT / "bin/python", COSMIC_RAY], check=True)
    return program


def copied(folder: Path) -> None:
    """Write the engine, its unit tests and the settings of cosmic-ray into `folder`."""
    shutil.copytree(ROOT / "bin", folder / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests/unit", folder / "tests/unit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    tests = " ".join(f"tests/unit/{name}.py" for name in TESTS)
    modules = ", ".join(f"'bin/sccicl/{name}.py'" for name in MODULES)
    (folder / "cosmic-ray.toml").write_text(
        f"""[cosmic-ray]
module-path = [{modules}]
timeout = {LIMIT_S}
excluded-modules = []
test-command = "{ROOT}/.venv/bin/python -B -m pytest -q -x -p no:cacheprovider {tests}"
[cosmic-ray.distributor]
name = "local"
"""
    )


def annotation_spans(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and end, as (line, column), of the annotations of a module."""
    nodes = []
    for node in ast.walk(ast.parse(path.read_text())):
        nodes.append(getattr(node, "annotation", None))
        nodes.append(getattr(node, "returns", None))
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes if n is not None]


def is_of_interest(operator: str, place: tuple[int, int], spans: list) -> bool:
    """Whether the mutant is neither in an annotation nor makes a bit operation of something else."""
    words = operator.split("_")
    is_bit = words[-1] in BIT_OPERATORS and words[-2] not in BIT_OPERATORS
    return not is_bit and not any(start <= place < end for start, end in spans)


def draw(session: Path, folder: Path, n_mutants: int, seed: int) -> None:
    """Leave one mutant at each of `n_mutants` places."""
    rng = random.Random(seed)
    spans = {f"bin/sccicl/{name}.py": annotation_spans(folder / f"bin/sccicl/{name}.py") for name in MODULES}
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


def outcomes(session: Path) -> list[tuple[str, str, int, str, str]]:
    """Module, operator, line, outcome and difference of every mutant."""
    with sqlite3.connect(session) as database:
        return database.execute(
            "SELECT module_path, operator_name, start_pos_row, test_outcome, diff FROM mutation_specs "
            "JOIN work_results USING (job_id) ORDER BY 1, 3"
        ).fetchall()


def main(n_mutants: int = 100, seed: int = 0) -> int:
    """Print the share and the mutants that live; the exit status."""
    program = set_up()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copied(folder)
        session = folder / "session.sqlite"
        subprocess.run([program, "baseline", "cosmic-ray.toml"], cwd=folder, check=True)
        subprocess.run([program, "init", "cosmic-ray.toml", session.name], cwd=folder, check=True)
        draw(session, folder, n_mutants, seed)
        subprocess.run([program, "exec", "cosmic-ray.toml", session.name], cwd=folder, check=True)
        found = outcomes(session)
    living = [mutant for mutant in found if mutant[3] != "KILLED"]
    for module, operator, row, outcome, difference in living:
        print(f"\n{module}:{row} {operator} {outcome}\n{difference}")
    killed = len(found) - len(living)
    print(f"{killed} of {len(found)} mutants are noticed: {killed / len(found):.0%}")
    return int(killed < LEAST_KILLED * len(found))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
