"""`-resume` takes what is finished, unless the engine's code has changed."""

import hashlib
import shutil
from pathlib import Path

import pytest

MAIN = """include { CHECKSUMS } from './modules/local/checksums'
workflow {
    CHECKSUMS(channel.of([[id: 's1'], file("${projectDir}/main.nf")]))
}
"""


@pytest.fixture
def project(root, tmp_path):
    """A pipeline of one process of the engine, with the settings of all."""
    folder = tmp_path / "project"
    shutil.copytree(Path(root) / "bin", folder / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(root) / "modules/local/checksums", folder / "modules/local/checksums")
    shutil.copy(Path(root) / "conf/base.config", folder / "base.config")
    (folder / "nextflow.config").write_text("includeConfig 'base.config'\n")
    (folder / "main.nf").write_text(MAIN)
    return folder


def checksum(project):
    """MD5 of the MD5s of the engine's files, in the order of their paths, part by part."""
    files = sorted(path for path in (project / "bin").rglob("*") if path.is_file() and path.suffix != ".pyc")
    sums = "".join(hashlib.md5(path.read_bytes()).hexdigest() for path in files)
    return hashlib.md5(sums.encode()).hexdigest()


def test_tasks_name_the_code_that_they_run(nextflow, project):
    expected = checksum(project)
    run = nextflow("run", str(project), folder=project)
    assert run.status == 0, run.text
    (script,) = [path.read_text() for path in (project / "work").glob("*/*/.command.sh")]
    assert f"# Engine {expected}" in script.splitlines()


@pytest.mark.slow
def test_another_engine_is_run_again(nextflow, project):
    assert nextflow("run", str(project), folder=project).tasks == ["CHECKSUMS (s1)"]
    assert nextflow("run", str(project), "-resume", folder=project).tasks == []
    with (project / "bin" / "sccicl" / "errors.py").open("a") as file:
        file.write("# another\n")
    assert nextflow("run", str(project), "-resume", folder=project).tasks == ["CHECKSUMS (s1)"]


def test_every_process_of_the_engine_names_its_code(root):
    """But those of the benchmark, whose plan tells the tasks what code they run."""
    modules = [path for path in (Path(root) / "modules/local").rglob("main.nf") if "benchmark" not in path.parts]
    own = [path for path in modules if "cicl.py " in path.read_text().split("    script:")[-1].split("    stub:")[0]]
    assert len(own) > 10
    assert [path for path in own if "# Engine ${task.ext.engine ?: ''}\n" not in path.read_text()] == []
