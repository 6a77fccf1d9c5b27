"""What the engines of containers and environments are asked for, by stand-ins that write down how they are called."""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("docker", "podman", "singularity", "apptainer", "ch-run", "ch-image", "conda", "sbatch")
OWN = "cicl.localhost/cicl-nextflow:0.1.0"
STAR = "quay.io/biocontainers/star:2.7.10b--h9ee0642_0"
# Settings that a host pipeline makes, or a site: names without a host would get it
QUAY = "".join(f"{engine}.registry = 'quay.io'\n" for engine in ("docker", "podman", "singularity", "apptainer"))


@dataclass
class Standin:
    """Stand-ins in `folder`, and what they were called with."""

    folder: Path

    @property
    def calls(self) -> list[list[str]]:
        log = self.folder / "log"
        return [shlex.split(line) for line in log.read_text().splitlines()] if log.exists() else []

    def words(self, pattern: str) -> set[str]:
        """Words of the calls that fit a pattern as a whole."""
        return {word for call in self.calls for word in call if re.fullmatch(pattern, word)}


@pytest.fixture
def standin(tmp_path, monkeypatch) -> Callable[..., Standin]:
    """`standin(images="...")`: the engines are on the PATH, know these images and run the tasks on this machine."""

    def make(images: str = "cicl-nextflow biocontainers galaxyproject", run: bool = True) -> Standin:
        folder = tmp_path / "stand ins"
        folder.mkdir()
        shutil.copy(Path(__file__).with_name("standin_engine.sh"), folder / "engine")
        for name in NAMES:
            (folder / name).symlink_to("engine")
        settings = {"STANDIN_LOG": folder / "log", "STANDIN_IMAGES": images, "STANDIN_RUN": "1" if run else ""}
        (folder / "standin.env").write_text("".join(f"{key}='{value}'\n" for key, value in settings.items()))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        for engine in ("SINGULARITY", "APPTAINER"):
            for kind in ("LIBRARYDIR", "CACHEDIR"):
                monkeypatch.delenv(f"NXF_{engine}_{kind}", raising=False)
        return Standin(folder)

    return make


def long_path(parent: Path, length: int = 255) -> Path:
    """A folder below `parent` whose path has this many characters, with blanks."""
    text = str(parent)
    while len(text) < length - 40:
        text += "/a folder with blanks"
    return Path(text) / ("x" * (length - len(text) - 1))


@pytest.fixture
def launch(tmp_path) -> Path:
    """A folder with a sheet of reads, and one of two samples that are clustered together; a long path, with blanks."""
    folder = long_path(tmp_path)
    folder.mkdir(parents=True)
    for name in ("a.h5ad", "b.h5ad", "r_R1.fastq.gz", "r_R2.fastq.gz", "genome.fa", "genes.gtf", "my.sif"):
        (folder / name).touch()
    rows = ["sample,input,fastq_1,fastq_2,group", "r,,r_R1.fastq.gz,r_R2.fastq.gz,", "a,a.h5ad,,,g", "b,b.h5ad,,,g"]
    (folder / "sheet.csv").write_text("\n".join(rows) + "\n")
    (folder / "one.csv").write_text("sample,input\na,a.h5ad\n")
    (folder / "quay.config").write_text(QUAY)
    return folder


ALL = ("-stub", "--input", "sheet.csv", "--fasta", "genome.fa", "--gtf", "genes.gtf", "--skip_multiqc")
ONE = ("-stub", "--input", "one.csv", "--skip_multiqc", "--skip_markers")


def slow(*values):
    """A case for `make test-full`, of a kind that another one stands for in `make test`."""
    return pytest.param(*values, marks=pytest.mark.slow)


# A whole run each; two of them by default, for a run takes as long as the processes are many
ENGINES = ["docker", "singularity", *map(slow, ("podman", "apptainer", "charliecloud"))]


@pytest.mark.parametrize("engine", ENGINES)
def test_all_images_have_full_names(standin, launch, pipeline, monkeypatch, engine):
    """Reads, a group and a GPU, under a registry that a site has set: nothing is asked for but what there is."""
    engines = standin()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1")
    if engine in ("singularity", "apptainer"):
        # As in the cache of a site
        (launch / "cache").mkdir()
        for kind in ("", "-gpu"):
            (launch / "cache" / f"{OWN.replace('/', '-').replace(':', '-')}{kind}.img").touch()
        monkeypatch.setenv(f"NXF_{engine.upper()}_CACHEDIR", str(launch / "cache"))
    run = pipeline(*ALL, "-profile", f"{engine},gpu", "-c", "quay.config", folder=launch)
    assert run.status == 0, run.text
    assert {"REFERENCE (genome)", "STAR_STARSOLO (r)", "JOIN (g)", "CICL_FIT (r)", "CICL_FIT (g)"} <= set(run.tasks)
    jobs = [path.read_text() for path in (launch / "work").glob("*/*/.command.run")]
    if engine in ("docker", "podman"):
        assert engines.words(".*(star|nextflow):.*") == {OWN, f"{OWN}-gpu", STAR}
    elif engine == "charliecloud":
        pulled = {call[-1] for call in engines.calls if call[:2] == ["ch-image", "pull"]}
        assert {word.split(":")[0] for call in engines.calls if "pull" in call for word in call if "nextflow" in word}
        assert not [word for word in pulled if word.startswith("quay.io/cicl")]
    else:
        pulled = {word for call in engines.calls if call[1] == "pull" for word in call if "://" in word}
        assert pulled == {f"https://depot.galaxyproject.org/singularity/{STAR.split('/')[-1]}"} or not pulled
        assert engines.words(f"{launch}/cache/cicl.*img") == {
            f"{launch}/cache/cicl.localhost-cicl-nextflow-0.1.0{kind}.img" for kind in ("", "-gpu")
        }
    # Only the training has the option of the GPU, and its choice of the GPU reaches the container.
    option = {"docker": "--gpus all", "podman": "--device nvidia.com/gpu=all", "charliecloud": ""}.get(engine, "--nv")
    with_gpu = [job for job in jobs if option and f" {option} " in job]
    assert all("CICL_FIT (" in job for job in with_gpu) and (len(with_gpu) == 2 or not option)
    if option:
        assert all("CUDA_VISIBLE_DEVICES" in job for job in with_gpu)


def test_an_address_of_the_image_serves_every_process_of_the_engine(standin, launch, pipeline, tmp_path):
    """And a folder of checkpoints, which is outside of the work folder, is mounted."""
    engines = standin(images="registry.example.org:5000/lab/cicl:7")
    image = "registry.example.org:5000/lab/cicl:7"
    folder = tmp_path / "check points"
    arguments = ["-profile", "docker,gpu", "--cicl_image", image, "--checkpoint_dir", str(folder), "-c", "quay.config"]
    run = pipeline(*ONE, *arguments, folder=launch)
    assert run.status == 0, run.text
    assert not [task for task in run.tasks if task.startswith(("MARKERS", "MULTIQC"))]
    tasks = [call for call in engines.calls if call[:2] == ["docker", "run"]]
    assert tasks and all(f"{folder}:{folder}" in call for call in tasks) and folder.is_dir()
    asked = {word for call in engines.calls if call[:2] == ["docker", "run"] for word in call if "cicl:" in word}
    assert asked == {image}


@pytest.mark.parametrize("place", ["library", slow("file")])
def test_singularity_on_a_fresh_clone(standin, launch, pipeline, monkeypatch, place):
    """No folder has to be there; the site's own file, or its library, is what runs, and nothing is pulled."""
    engines = standin(images="")
    arguments = ["-profile", "singularity"]
    if place == "file":
        image = launch / "my.sif"
        arguments += ["--cicl_image", str(image)]
    else:
        image = launch / "library" / "cicl.localhost-cicl-nextflow-0.1.0.img"
        image.parent.mkdir()
        image.touch()
        monkeypatch.setenv("NXF_SINGULARITY_LIBRARYDIR", str(image.parent))
    run = pipeline(*ONE, *arguments, folder=launch)
    assert run.status == 0, run.text
    assert engines.words(r"/.*\.(img|sif)") == {str(image)}
    assert not [call for call in engines.calls if "pull" in call]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-profile", "docker"), f"Docker has no image {OWN}: build it with 'make image', or name yours with --cicl_"),
        (("-profile", "apptainer,slurm"), "make it with containers/sif.sh, or name yours, a .sif file or an address, "),
        (("-profile", "singularity", "--cicl_image", "my.sif"), "'my.sif' is a file, so give it by its absolute path"),
        slow(("-profile", "podman,gpu"), f"Podman has no image {OWN}: build it with 'make image'"),
        slow(("-profile", "singularity"), "Singularity has no image cicl.localhost-cicl-nextflow-0.1.0.img in "),
        slow(("-profile", "singularity", "--cicl_image", "/no/x.sif"), "--cicl_image: there is no image '/no/x.sif'"),
    ],
)
def test_a_missing_image_is_told_before_anything_is_started(standin, launch, pipeline, arguments, told):
    standin(images="")
    run = pipeline(*ONE, *arguments, folder=launch)
    assert run.status == 2 and run.tasks == []
    assert f"{told}" in run.text and "ERROR: " in run.text


def test_conda_gets_the_environments_of_the_modules(standin, launch, pipeline):
    """That of the engine, which all its modules share in text, of STAR and of awk. Nextflow makes one for each file."""
    engines = standin()
    run = pipeline(*ALL, "-profile", "conda", folder=launch)
    assert run.status == 0, run.text
    files = [Path(call[call.index("--file") + 1]) for call in engines.calls if "--file" in call]
    asked = {str(path.relative_to(ROOT / "modules/local").parent) for path in files}
    texts = {path.read_text() for path in files}
    assert len(texts) <= 4, asked
    assert any("bioconda::star" in text for text in texts) and any("pytorch-cpu" in text for text in texts)


def test_a_job_that_the_queue_refuses_is_asked_for_once(standin, launch, pipeline):
    """More of everything would be refused as well; the queue's words are shown."""
    engines = standin(run=False)
    run = pipeline(*ONE, "-profile", "slurm,test", folder=launch)
    assert run.status != 0
    assert "Requested time limit is invalid" in run.text
    assert len([call for call in engines.calls if call[0] == "sbatch"]) == 1
