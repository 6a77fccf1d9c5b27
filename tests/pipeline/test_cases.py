"""The cases of tests/cases.yml, of which the nf-test files are made."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CASES = yaml.safe_load((ROOT / "tests" / "cases.yml").read_text(encoding="utf-8"))


# The demonstration itself is run for real in test_demo.py.
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if "skip_multiqc" in case["params"] else pytest.mark.slow)
        for case in CASES["pipeline"]
    ],
    ids=lambda case: case["name"],
)
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


@pytest.fixture(scope="module")
def outputs(nextflow, tmp_path_factory):
    """How much is in each output of each module, as nf-test would ask, of one workflow around all of them."""
    includes, calls = [], []
    for case in CASES["modules"]:
        inputs = [text.replace("file('", f"file('{ROOT}/") for text in case["inputs"]]
        includes.append(f"include {{ {case['process']} }} from '{ROOT / case['script']}'")
        calls.append(f"    {case['process']}({', '.join([f'channel.of({inputs[0]})', *inputs[1:]])})")
        calls += [
            f"    {case['process']}.out.{name}.count().view {{ n -> 'OUTPUT {case['process']} {name} ' + n }}"
            for name in case["outputs"]
        ]
    folder = tmp_path_factory.mktemp("modules")
    (folder / "main.nf").write_text("\n".join([*includes, "workflow {", *calls, "}", ""]))
    run = nextflow("run", "main.nf", "-stub", folder=folder)
    assert run.status == 0, run.text
    return [line.split()[1:] for line in run.text.splitlines() if line.startswith("OUTPUT ")]


@pytest.mark.parametrize("case", CASES["modules"], ids=lambda case: case["process"])
def test_module(outputs, case):
    found = {name: number for process, name, number in outputs if process == case["process"]}
    assert found == dict.fromkeys(case["outputs"], "1")
