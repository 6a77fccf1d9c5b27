"""nf-test files in nf-core's form, made of tests/cases.yml, which pytest runs too: so they cannot drift apart.

usage: python scripts/lint/nf_tests.py [--write]

Without --write it ends with status 1 where a file is not as it would be made.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MADE = "// Made of tests/cases.yml by scripts/lint/nf_tests.py: `make format` writes it anew\n"


def groovy(value: Any) -> str:
    """A parameter's value as Groovy writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else f"'{value}'"


def pipeline_test(case: dict[str, Any]) -> str:
    """One test of the pipeline."""
    params = "".join(f"                {name} = {groovy(value)}\n" for name, value in case["params"].items())
    files = "".join(f'                {{ assert path("$outputDir/{name}").exists() }},\n' for name in case["files"])
    return f"""
    test("-stub: {case["name"]}") {{
        options "-stub"
        when {{
            params {{
                outdir = "$outputDir"
{params}            }}
        }}
        then {{
            assertAll(
                {{ assert workflow.success }},
                {{ assert workflow.trace.succeeded().size() == {len(case["tasks"])} }},
{files}                {{ assert snapshot(
                    removeNextflowVersion("$outputDir/pipeline_info/software_versions.yml")
                ).match() }}
            )
        }}
    }}
"""


def module_test(case: dict[str, Any], gpu: bool = False) -> str:
    """One test of a module; on a GPU with the settings of nextflow.gpu.config. nf-test itself makes the snapshots."""
    outputs = "".join(f",\n                {{ assert process.out.{name}.size() == 1 }}" for name in case["outputs"])
    inputs = "".join(f"                input[{i}] = {text}\n" for i, text in enumerate(case["inputs"]))
    config = '        config "./nextflow.gpu.config"\n' if gpu else ""
    return f"""
    test("-stub: {case["name"]}{", on a GPU" if gpu else ""}") {{
{config}        options "-stub"
        when {{
            process {{
                \"\"\"
{inputs}                \"\"\"
            }}
        }}
        then {{
            assertAll(
                {{ assert process.success }}{outputs}
            )
        }}
    }}
"""


GPU_CONFIG = """// A GPU, as in the tests of nf-core/modules
process {
    withLabel: 'process_gpu' {
        accelerator = 1
    }
}
docker.runOptions      = '-u $(id -u):$(id -g) --gpus all'
singularity.runOptions = '--nv'
"""


def made() -> dict[Path, str]:
    """Content of every file that is made."""
    cases = yaml.safe_load((ROOT / "tests" / "cases.yml").read_text(encoding="utf-8"))
    tests = "".join(map(pipeline_test, cases["pipeline"]))
    head = 'nextflow_pipeline {\n\n    name "CICL for Nextflow"\n    script "../main.nf"\n    tag "pipeline"\n'
    found = {ROOT / "tests" / "default.nf.test": MADE + head + tests + "}\n"}
    for case in cases["modules"]:
        folder = (ROOT / case["script"]).parent
        tool = str(folder.relative_to(ROOT / "modules" / "local"))
        names = [tool.split("/")[0], tool] if "/" in tool else [tool]
        tags = ["modules", "modules_local", "modules_nfcore", *names]
        head = (
            f'nextflow_process {{\n\n    name "Test Process {case["process"]}"\n    script "../main.nf"\n'
            f'    process "{case["process"]}"\n\n'
        )
        for gpu in (False, True) if case.get("gpu") else (False,):
            tagged = "".join(f'    tag "{tag}"\n' for tag in [*(["gpu"] if gpu else []), *tags])
            file = folder / "tests" / ("main.gpu.nf.test" if gpu else "main.nf.test")
            found[file] = MADE + head + tagged + module_test(case, gpu) + "}\n"
        if case.get("gpu"):
            found[folder / "tests" / "nextflow.gpu.config"] = GPU_CONFIG
    return found


def main(write: bool) -> int:
    """Write the files, or name those that are not as they would be made."""
    stale = [path for path, text in made().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if write:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made()[path], encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.relative_to(ROOT)} is not what tests/cases.yml makes of it: make format")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
