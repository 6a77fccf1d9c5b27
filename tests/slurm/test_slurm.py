"""Jobs of Slurm that are ended mid-training: the retry, or -resume, goes on from the checkpoint to the same clusters.

The Slurm here is a real one, of one node. Four samples are clustered in peace first, which gives the clusters to
compare with.
"""

import csv
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT
from simulate import simulate_cells

SAMPLES = ("cancelled", "late", "lost", "calm")
# Long enough to be ended in: some thousand steps for 150 cells
TRAINING = "--epochs 1500"
SETTINGS = """
executor {
    pollInterval      = '2 sec'
    queueStatInterval = '3 sec'
    exitReadTimeout   = '15 sec'
}
process {
    resourceLimits = [cpus: 1, memory: 3.GB]
    withName: 'CICL' { ext.args = 'TRAINING' }
    errorStrategy  = { task.exitStatus in ((130..145) + [104, null, 2147483647] + (175..177)) ? RETRY : 'finish' }
}
"""


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    rows = ["sample,input,n_clusters"]
    for seed, name in enumerate(SAMPLES):
        simulate_cells(fold=2.5, seed=seed).write_h5ad(folder / f"{name}.h5ad")
        rows.append(f"{name},{name}.h5ad,5")
    (folder / "sheet.csv").write_text("\n".join(rows))
    return folder / "sheet.csv"


class Run:
    """A run of the pipeline with the slurm executor, in the background."""

    def __init__(self, folder: Path, sheet: Path, *arguments: str, retry: bool = True) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        strategy = "'retry'" if retry else "'terminate'"
        (folder / "test.config").write_text(SETTINGS.replace("RETRY", strategy).replace("TRAINING", TRAINING))
        environment = os.environ | {
            "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "NXF_HOME": os.environ.get("NXF_HOME", str(ROOT / ".tools" / "nextflow-home")),
            "NXF_ANSI_LOG": "false",
        }
        words = ["nextflow", "run", str(ROOT), "-profile", "slurm", "-c", "test.config", "--input", str(sheet)]
        words += ["--outdir", "results", "--skip_markers", "--skip_multiqc", *arguments]
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.text += line

    def wait(self, seconds: float = 3600) -> int:
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.terminate()  # takes its jobs out of the queue
            raise
        self._reader.join()
        return status

    def until_training(self, sample: str, seconds: float = 600) -> tuple[str, int]:
        """Id of the Slurm job that trains `sample`, and the engine's process; its checkpoint is there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.text
            if list(self.folder.glob(f"work/checkpoints/{sample}.*.checkpoint.pt")):
                time.sleep(2)  # some steps further
                return self.job(sample), self.engine(sample)
            time.sleep(0.2)
        raise AssertionError(f"no training of {sample} began\n{self.text}")

    def job(self, sample: str) -> str:
        listed = subprocess.run(["squeue", "--noheader", "--format=%i %j"], capture_output=True, text=True, check=True)
        return next(line.split()[0] for line in listed.stdout.splitlines() if f"CICL_({sample})" in line)

    def engine(self, sample: str) -> int:
        found = subprocess.run(["pgrep", "-f", f"cicl.py fit .*{sample}"], capture_output=True, text=True, check=True)
        for pid in map(int, found.stdout.split()):
            if (
                str(self.folder) in os.readlink(f"/proc/{pid}/cwd")
                and "python" in Path(f"/proc/{pid}/exe").resolve().name
            ):
                return pid
        raise AssertionError(f"no process trains {sample}")

    def logs(self, sample: str) -> list[str]:
        """What each attempt of a sample's training wrote."""
        return [
            path.with_name(".command.log").read_text()
            for path in sorted(self.folder.glob("work/*/*/.command.sh"), key=lambda path: path.stat().st_mtime)
            if f"--id '{sample}'" in path.read_text() and "cicl.py fit" in path.read_text()
        ]

    def clusters(self) -> dict[str, dict[str, str]]:
        found = {}
        for sample in SAMPLES:
            with (self.folder / "results" / sample / f"{sample}.clusters.csv").open() as file:
                found[sample] = {row["barcode"]: row["cluster"] for row in csv.DictReader(file)}
        return found


@pytest.fixture(scope="module")
def in_peace(slurm, sheet, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("peace"), sheet)
    assert run.wait() == 0, run.text
    assert all(len(run.logs(sample)) == 1 for sample in SAMPLES)
    assert "going on from the checkpoint" not in "".join(map("".join, map(run.logs, SAMPLES)))
    return run


def test_each_task_was_a_job(in_peace):
    jobs = list(in_peace.folder.glob("work/*/*/.command.run"))
    assert len(jobs) >= 3 * len(SAMPLES) and all("#SBATCH" in job.read_text() for job in jobs)


def test_retries_go_on_from_the_checkpoint(in_peace, slurm, sheet, tmp_path):
    run = Run(tmp_path, sheet)
    job, _ = run.until_training("cancelled")
    subprocess.run(["scancel", job], check=True)
    # Slurm counts a job's time in whole minutes: a stopped training reaches its limit whatever the machine's speed. It
    # takes no note of SIGTERM then, so that it is killed without a last checkpoint.
    job, process = run.until_training("late")
    os.kill(process, signal.SIGSTOP)
    subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True)
    run.until_training("lost")
    if run.job("lost"):
        slurm("kill-node")
        time.sleep(15)
        slurm("up")
    assert run.wait() == 0, run.text
    for sample in ("cancelled", "late", "lost"):
        attempts = run.logs(sample)
        assert len(attempts) >= 2, f"{sample} was not tried again\n{run.text}"
        assert "going on from the checkpoint" in attempts[-1], attempts
    assert run.clusters() == in_peace.clusters()
    assert not list(run.folder.glob("work/checkpoints/*")), "a finished training leaves no checkpoint"


def test_resume_goes_on_from_the_checkpoint(in_peace, sheet, tmp_path):
    run = Run(tmp_path, sheet, retry=False)
    job, _ = run.until_training("cancelled")
    subprocess.run(["scancel", job], check=True)
    assert run.wait() != 0
    assert list(run.folder.glob("work/checkpoints/cancelled.*.checkpoint.pt")), "the checkpoint must outlive the run"
    again = Run(tmp_path, sheet, "-resume", retry=False)
    assert again.wait() == 0, again.text
    assert "Cached process > " in again.text
    assert "going on from the checkpoint" in again.logs("cancelled")[-1]
    assert again.clusters() == in_peace.clusters()
