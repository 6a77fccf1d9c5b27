"""nf-core's checks of the pipeline and of its parameters' schema, through its Python API, without a network.

The command `nf-core pipelines lint` fetches nf-core's modules and template, which these checks do not need. Every check
that is not run or ignored has its reason in .nf-core.yml; one without a reason is an error here.
"""

import logging
import re
import sys
from pathlib import Path

logging.disable(logging.CRITICAL)

from nf_core.pipelines.lint import PipelineLint  # noqa: E402
from nf_core.pipelines.schema import PipelineSchema  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# They compare with files that are fetched.
NEED_A_NETWORK = {"files_unchanged", "actions_schema_validation"}


def without_reason(text: str) -> list[str]:
    """Entries under `lint:` of .nf-core.yml that have no comment right before them or before their list."""
    block = re.search(r"^lint:\n((?:[ #].*\n|\n)*)", text, re.MULTILINE)
    found, explained = [], False
    for line in block[1].splitlines() if block else []:
        if line.strip().startswith("#"):
            explained = True
        elif line.startswith("  ") and not line.startswith("   "):
            found += [] if explained or line.strip().endswith(":") else [line.strip()]
            explained = explained and line.strip().endswith(":")
        elif not explained:
            found.append(line.strip())
    return found


def main() -> int:
    """Print what has failed, and warnings; status 1 if anything has failed."""
    lint = PipelineLint(str(ROOT))
    lint._load_lint_config()
    lint._load()
    lint.lint_tests = [name for name in lint.lint_tests if name not in NEED_A_NETWORK]
    lint._lint_pipeline()
    failed = [f"{name}: {text}" for name, text in lint.failed]
    failed += [
        f".nf-core.yml gives no reason for: {name}" for name in without_reason((ROOT / ".nf-core.yml").read_text())
    ]
    schema = PipelineSchema()
    schema.schema_filename = str(ROOT / "nextflow_schema.json")
    try:
        schema.load_lint_schema()
    except AssertionError as error:
        failed.append(f"nextflow_schema.json: {error}")
    for name, text in lint.warned:
        print(f"warning  {name}: {text}")
    for text in failed:
        print(f"failed   {text}")
    print(f"{len(lint.passed)} passed, {len(lint.ignored)} ignored, {len(lint.warned)} warnings, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
