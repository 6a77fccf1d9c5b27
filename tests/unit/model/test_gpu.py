"""On a machine with an NVIDIA GPU: `pytest -m gpu tests`."""

import json

import pytest
import torch
from click.testing import CliRunner
from sccicl.cli import main
from simulate import simulate_cells

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]


def test_a_gpu_run_finds_the_types_and_records_the_gpu(tmp_path):
    simulate_cells().write_h5ad(tmp_path / "five.h5ad")
    words = [
        "run",
        tmp_path / "five.h5ad",
        "--outdir",
        tmp_path / "out",
        "--device",
        "cuda",
        "--label-col",
        "cell_type",
    ]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "out" / "five.metrics.json").read_text())
    assert metrics["ari"] > 0.95
    assert metrics["hardware"]["gpu"] == torch.cuda.get_device_name()
    assert metrics["hardware"]["cuda"] == torch.version.cuda and metrics["hardware"]["driver"]
    assert metrics["peak_gpu_memory_mb"]["fit"] > 0
