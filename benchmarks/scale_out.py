"""Measure what many samples cost beside their work: wall time per sample, and the memory of Nextflow's own process.

usage: python benchmarks/scale_out.py [N_SAMPLES] [PROFILE ...]

By default 200 samples, and the profiles local and slurm. Every sample goes through all processes as a stub (-stub), so
that what is measured is Nextflow, the queue and the start of tasks. The slurm profile wants a Slurm here, such as that
of scripts/slurm.sh.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """
executor { pollInterval = '1 sec'; queueStatInterval = '5 sec' }
process { resourceLimits = [cpus: 1, memory: 1.GB] }
"""


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process so far, in MB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def measure(n_samples: int, profile: str) -> None:
    """Print a row: profile, samples, tasks, seconds in all, per sample and per task, peak memory of the head."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cells.h5ad").touch()
        rows = [f"s{i:04d},cells.h5ad" for i in range(n_samples)]
        (folder / "sheet.csv").write_text("\n".join(["sample,input", *rows]))
        (folder / "scale.config").write_text(SETTINGS)
        words = ["nextflow", "run", str(ROOT), "-stub", "-c", "scale.config", "--input", "sheet.csv", "--outdir", "out"]
        words += ["-profile", profile] if profile != "local" else []
        environment = os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "NXF_ANSI_LOG": "false"}
        environment.setdefault("NXF_HOME", str(ROOT / ".tools" / "nextflow-home"))
        start, peak = time.perf_counter(), 0.0
        with (folder / "log").open("w") as log:
            # The launcher becomes Java by exec, so the process is the head process.
            process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
            while process.poll() is None:
                peak = max(peak, peak_mb(process.pid))
                time.sleep(0.5)
        seconds = time.perf_counter() - start
        text = (folder / "log").read_text()
        if process.returncode:
            raise SystemExit(text)
        tasks = text.count("Submitted process > ")
        row = (
            profile,
            n_samples,
            tasks,
            f"{seconds:.0f}",
            f"{seconds / n_samples:.2f}",
            f"{seconds / tasks:.2f}",
            f"{peak:.0f}",
        )
        print("\t".join(map(str, row)), flush=True)


if __name__ == "__main__":
    print("profile\tsamples\ttasks\tseconds\tseconds_per_sample\tseconds_per_task\thead_peak_mb", flush=True)
    for chosen in sys.argv[2:] or ["local", "slurm"]:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200, chosen)
