"""The cases of tests/cases.yml, of which the nf-test files are made."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CASES = yaml.safe_load((ROOT / "tests" / "cases.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES["pipeline"], ids=lambda case: case["name"])
def test_pipeline(pipeline, case):
    words = [
        word
        for name, value in case["params"].items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]
    run = pipeline("-stub", *words)
    assert run.status == 0, run.text
    assert sorted(task.split(" (")[0] for task in run.tasks) == sorted(case["tasks"])
    assert [name for name in case["files"] if not (run.outdir / name).exists()] == []


@pytest.mark.parametrize("case", CASES["modules"], ids=lambda case: case["process"])
def test_module(nextflow, tmp_path, case):
    """As nf-test does: a workflow around the process, which prints how much is in every output."""
    inputs = [text.replace("file('", f"file('{ROOT}/") for text in case["inputs"]]
    source = ", ".join([f"channel.of({inputs[0]})", *inputs[1:]])
    counts = "\n".join(
        f"    {case['process']}.out.{name}.count().view {{ n -> 'OUTPUT {name} ' + n }}" for name in case["outputs"]
    )
    script = tmp_path / "main.nf"
    script.write_text(
        f"include {{ {case['process']} }} from '{ROOT / case['script']}'\n"
        f"workflow {{\n    {case['process']}({source})\n{counts}\n}}\n"
    )
    run = nextflow("run", str(script), "-stub", folder=tmp_path)
    assert run.status == 0, run.text
    found = {line.split()[1]: line.split()[2] for line in run.text.splitlines() if line.startswith("OUTPUT ")}
    assert found == dict.fromkeys(case["outputs"], "1")
