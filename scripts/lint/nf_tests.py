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


def module_test(case: dict[str, Any]) -> str:
    """One test of a module."""
    outputs = "".join(f",\n                {{ assert process.out.{name}.size() == 1 }}" for name in case["outputs"])
    return f"""
    test("-stub: {case["name"]}") {{
        options "-stub"
        when {{
            process {{
                \"\"\"
                input[0] = {case["input"]}
                \"\"\"
            }}
        }}
        then {{
            assertAll(
                {{ assert process.success }}{outputs},
                {{ assert snapshot(process.out.findAll {{ key, _value -> key.startsWith('versions') }}).match() }}
            )
        }}
    }}
"""


def made() -> dict[Path, str]:
    """Content of every file that is made."""
    cases = yaml.safe_load((ROOT / "tests" / "cases.yml").read_text(encoding="utf-8"))
    tests = "".join(map(pipeline_test, cases["pipeline"]))
    head = 'nextflow_pipeline {\n\n    name "CICL for Nextflow"\n    script "../main.nf"\n    tag "pipeline"\n'
    found = {ROOT / "tests" / "default.nf.test": MADE + head + tests + "}\n"}
    for case in cases["modules"]:
        folder = (ROOT / case["script"]).parent
        tool = case["process"].lower()
        head = (
            f'nextflow_process {{\n\n    name "Test Process {case["process"]}"\n    script "../main.nf"\n'
            f'    process "{case["process"]}"\n\n    tag "modules"\n    tag "modules_local"\n    tag "{tool}"\n'
        )
        found[folder / "tests" / "main.nf.test"] = MADE + head + module_test(case) + "}\n"
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
