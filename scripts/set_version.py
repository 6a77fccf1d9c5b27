"""The version in one place: bin/sccicl/_version.py has it, and this writes it to all files that need it in text.

usage: python scripts/set_version.py [VERSION]

With VERSION it is set; without, the files are brought to that of _version.py. tests/unit/test_packaging.py fails where
one differs.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "bin" / "sccicl" / "_version.py"
NUMBER = r"\d+\.\d+\.\d+(?:(?:a|b|rc|\.?dev)\d*)?"
# Of each file the parts around the version
PLACES = {
    "nextflow.config": [(r"^    version +=  *'", r"'")],
    "recipes/meta.yaml": [(r'set version = "', r'"')],
    ".nf-core.yml": [(r"^  version: ", r"$")],
    "docs/usage.md": [("cicl-nextflow:", r"(?=[-`\s])")],
    "docs/integration.md": [("cicl-nextflow:", r"(?=[-`'\s])")],
    "modules/**/main.nf": [("'cicl.localhost/cicl-nextflow:", r"(?:-gpu)?'")],
    "conf/*.config": [("'cicl.localhost/cicl-nextflow:", r"(?:-gpu)?'")],
    "containers/*.def": [("cicl-nextflow-", r"(?=[-\s.])")],
    "tests/pipeline/test_engines.py": [("cicl-nextflow[:-]", r"(?=[-\".])")],
}


def current() -> str:
    """The version of the engine."""
    return re.search(r'__version__ = "(.*)"', SOURCE.read_text(encoding="utf-8"))[1]


def found() -> list[tuple[Path, str]]:
    """Every version that a file bears."""
    return [
        (path, match[1])
        for pattern, places in PLACES.items()
        for path in sorted(ROOT.glob(pattern))
        for before, after in places
        for match in re.finditer(rf"{before}({NUMBER}){after}", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def main(version: str) -> None:
    """Set the version everywhere."""
    SOURCE.write_text(re.sub(r'(__version__ = ").*(")', rf"\g<1>{version}\2", SOURCE.read_text(encoding="utf-8")))
    for pattern, places in PLACES.items():
        for path in ROOT.glob(pattern):
            text = path.read_text(encoding="utf-8")
            for before, after in places:
                text = re.sub(rf"({before}){NUMBER}({after})", rf"\g<1>{version}\2", text, flags=re.MULTILINE)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else current())
