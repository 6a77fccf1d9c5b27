"""A GPU that was asked for is used, or the command says why not: torch and the driver are stand-ins here."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.errors import InputError, NoGPUError
from sccicl.model.precision import products_type
from sccicl.runtime import device
from sccicl.runtime.device import choose_device, device_name, device_or_cpu, hardware, set_threads
from simulate import simulate_cells


@pytest.fixture
def machine(monkeypatch):
    """`machine(cuda=, gpus=, driver=, error=)` makes torch and the system look like that.

    It returns the devices that torch is told to make current, and those that something is computed on.
    """
    current, tried = [], []
    for name in ("WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)

    def look(cuda: str | None = "12.8", gpus: int = 0, driver: str | None = None, error: str | None = None):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA H100")
        monkeypatch.setattr(device, "nvidia_driver", lambda: driver)
        monkeypatch.setattr(torch.cuda, "set_device", current.append)

        def ones(*_args, **options):
            tried.append(options["device"])
            if error is not None:
                raise RuntimeError(error)
            return torch.zeros(2) + 1

        monkeypatch.setattr(torch, "ones", ones)
        return current, tried

    return look


def reason(device="cuda"):
    with pytest.raises(NoGPUError) as told:
        choose_device(device)
    return str(told.value)


def test_cpu_build(machine):
    machine(cuda=None)
    assert "is a CPU build: use the GPU image" in reason()


def test_no_driver(machine):
    machine()
    text = reason()
    assert "no NVIDIA driver is visible" in text and "--nv" in text and "CUDA 12.8" in text


def test_old_driver(machine):
    machine(driver="470.57.02")
    assert "the NVIDIA driver 470.57.02 is there" in reason()


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_hidden_by_the_queue(machine, monkeypatch, hidden):
    machine(driver="570.86.15")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    text = reason()
    assert f"CUDA_VISIBLE_DEVICES is '{hidden}'" in text and "--gres=gpu:1" in text


def test_number_that_is_not_there(machine):
    machine(gpus=2, driver="570.86.15")
    assert "this machine has 2 GPU(s)" in reason("cuda:2")
    assert choose_device("cuda:1") == torch.device("cuda:1")


def test_kernels_start_on_the_gpu_that_was_named(machine):
    current, _ = machine(gpus=2, driver="570.86.15")
    choose_device("cuda")
    assert current == []
    choose_device("cuda:1")
    assert current == [torch.device("cuda:1")]


def test_auto_takes_a_gpu_that_works_only(machine, capsys):
    machine()
    assert choose_device("auto") == torch.device("cpu")
    assert capsys.readouterr().err == ""
    machine(gpus=1, driver="570.86.15")
    assert choose_device("auto") == torch.device("cuda")
    machine(gpus=1, driver="570.86.15", error="CUDA error: all CUDA-capable devices are busy or unavailable")
    assert choose_device("auto") == torch.device("cpu")
    assert "WARNING: trained on the CPU" in capsys.readouterr().err
    assert device_or_cpu("auto")[1].endswith("and who else uses the GPU")


def test_each_of_several_processes_tries_its_own_gpu(machine, monkeypatch):
    _, tried = machine(gpus=2, driver="570.86.15")
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("cuda") == choose_device("auto") == torch.device("cuda:1")
    assert set(tried) == {torch.device("cuda:1")}
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert "process 2 of this machine, counted from 0, finds 2 GPU(s): start as many processes" in reason()


def test_bfloat16_where_the_gpu_of_this_process_has_it(monkeypatch):
    """Two GPUs of different kinds: the current one is not asked."""
    kinds = {torch.device("cuda:0"): (9, 0), torch.device("cuda:1"): (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", kinds.__getitem__)
    assert products_type(torch.device("cuda:0"), 6000) == torch.bfloat16
    assert products_type(torch.device("cuda:1"), 6000) is None
    assert products_type(torch.device("cuda:0"), 256) is None


def test_gpu_that_fails_when_used(machine):
    machine(gpus=1, driver="570.86.15", error="CUDA error: no kernel image is available\nmore")
    assert "NVIDIA H100 cannot be used (CUDA error: no kernel image is available)" in reason()


def test_fallback_only_where_allowed(machine):
    machine()
    device, warning = device_or_cpu("cuda")
    assert device == torch.device("cpu")
    assert warning.startswith("trained on the CPU: --device cuda asks for a GPU, but torch sees none")
    assert device_or_cpu("cpu") == (torch.device("cpu"), None)


def test_what_a_gpu_run_records(machine):
    machine(gpus=1, driver="570.86.15")
    found = hardware(torch.device("cuda"))
    assert {key: found[key] for key in ("gpu", "cuda", "driver")} == {
        "gpu": "NVIDIA H100",
        "cuda": "12.8",
        "driver": "570.86.15",
    }
    assert device_name(torch.device("cuda")) == "cuda NVIDIA H100 (CUDA 12.8, driver 570.86.15)"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build", "570.86.15"),
    ],
)
def test_version_of_the_driver(monkeypatch, text, version):
    monkeypatch.setattr(Path, "read_text", lambda _path, **_: text)
    assert device.nvidia_driver() == version


def test_more_threads_than_any_node_has_are_refused(monkeypatch):
    """torch starts a thread for each, and with tens of thousands the command hangs."""
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    set_threads(128)
    with pytest.raises(InputError, match="50000 threads are more than 1024: give --threads the cores"):
        set_threads(50_000)
    assert given == [128]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_the_command_ends_at_once_or_warns_in_every_record(tmp_path):
    def cicl(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    refused = cicl("run", tmp_path / "not-there.h5ad", "--device", "cuda", "--outdir", tmp_path)
    assert refused.exit_code == 2 and "ERROR: --device cuda asks for a GPU" in refused.output
    simulate_cells().write_h5ad(tmp_path / "five.h5ad")
    options = ["--device", "cuda", "--allow-cpu-fallback", "--epochs", 1, "--threads", 1, "--n-clusters", 3]
    done = cicl("run", tmp_path / "five.h5ad", "--outdir", tmp_path / "out", *options)
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "out" / "five.metrics.json").read_text())
    assert metrics["device"].startswith("cpu") and "gpu" not in metrics["hardware"]
    assert any(text.startswith("trained on the CPU") for text in metrics["warnings"])
    assert "Trained on the CPU" in (tmp_path / "out" / "cicl_report.html").read_text()
