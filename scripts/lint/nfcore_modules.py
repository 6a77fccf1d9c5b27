"""nf-core's ModuleLint on the modules that are meant for nf-core/modules, without its network.

usage: python scripts/lint/nfcore_modules.py

The modules are laid out in a temporary folder as in a clone of nf-core/modules. The status is 1 where a test fails.
"""

import contextlib
import io
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nf_core.components.components_command
import nf_core.modules.lint

sys.path.insert(0, str(Path(__file__).parent))
from module_meta import SHAPE

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("cicl", "cicl/integrate")
# What nf-core asks of an environment file: channels, and every package with an exact version
ENVIRONMENT = {
    "type": "object",
    "required": ["channels", "dependencies"],
    "properties": {
        "channels": {"type": "array", "items": {"enum": ["conda-forge", "bioconda"]}},
        "dependencies": {"type": "array", "items": {"type": "string", "pattern": "^[a-z-]+::[^=<>]+=[^><]+$"}},
    },
    "additionalProperties": False,
}


def lay_out(folder: Path) -> None:
    """A clone of nf-core/modules with our modules only."""
    (folder / ".nf-core.yml").write_text("repository_type: modules\norg_path: nf-core\n")
    (folder / "tests" / "config").mkdir(parents=True)
    (folder / "tests" / "config" / "nextflow.config").write_text("")
    for name in MODULES:
        source, target = ROOT / "modules" / "local" / name, folder / "modules" / "nf-core" / name
        target.mkdir(parents=True, exist_ok=True)
        for path in source.glob("*.*"):
            shutil.copy(path, target)
        if (source / "tests").is_dir():
            shutil.copytree(source / "tests", target / "tests")
    (folder / "modules" / "environment-schema.json").write_text(json.dumps(ENVIRONMENT))
    (folder / "modules" / "meta-schema.json").write_text(json.dumps(SHAPE))
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)


class LocalRepository:
    """In place of the clone that nf-core makes of its own repository."""

    def __init__(self, folder: Path) -> None:
        self.local_repo_dir = folder
        self.repo_path = "nf-core"
        self.remote_url = self.branch = ""


def main() -> int:
    """Print what fails."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        nf_core.components.components_command.ModulesRepo = lambda *_args, **_kwargs: LocalRepository(folder)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            lint = nf_core.modules.lint.ModuleLint(folder, hide_progress=True, registry="quay.io")
            lint.lint(all_modules=True, print_results=False)
        for kind, results in (("warning", lint.warned), ("failed ", lint.failed)):
            for result in results:
                print(f"{kind}  {result.component_name}: {result.lint_test}: {result.message}")
        print(f"{len(lint.passed)} passed, {len(lint.warned)} warnings, {len(lint.failed)} failed")
        return 1 if lint.failed else 0


if __name__ == "__main__":
    sys.exit(main())
