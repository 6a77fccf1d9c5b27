"""ro-crate-metadata.json: the pipeline described for registries of workflows (Workflow RO-Crate 1.0).

usage: python scripts/lint/ro_crate.py [--write]

Without --write it ends with status 1 where the file is not as it would be made.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "ro-crate-metadata.json"
AUTHORS = {"@id": "#authors"}
PARTS = {
    "nextflow.config": "Defaults of all parameters, and the profiles",
    "nextflow_schema.json": "What every parameter means",
    "assets/schema_input.json": "Columns of the samplesheet",
    "CITATIONS.md": "Works to cite",
    "CHANGELOG.md": "Changes of each version",
    "LICENSE": "MIT",
    "docs/": "Documents",
    "modules/": "Processes",
    "subworkflows/": "Parts of the workflow",
    "bin/": "The engine, a Python package and its commands",
    "tests/": "Tests",
}


def entity(identifier: str, kind: str | list[str], **properties: Any) -> dict[str, Any]:
    """An entity of the graph."""
    return {"@id": identifier, "@type": kind, **properties}


def crate() -> dict[str, Any]:
    """The whole description."""
    version = re.search(r'__version__ = "(.*)"', (ROOT / "bin/sccicl/_version.py").read_text())[1]
    config = (ROOT / "nextflow.config").read_text(encoding="utf-8")
    description = re.search(r"^    description += '(.*)'", config, re.MULTILINE)[1]
    parts = [{"@id": name} for name in ("main.nf", "README.md", *PARTS)]
    graph = [
        entity(
            "./",
            "Dataset",
            name="CICL for Nextflow",
            description=(ROOT / "README.md").read_text(encoding="utf-8"),
            license="MIT",
            version=version,
            creator=AUTHORS,
            mainEntity={"@id": "main.nf"},
            hasPart=parts,
            keywords=["nextflow", "single-cell", "scRNA-seq", "clustering", "contrastive learning"],
        ),
        entity(
            "ro-crate-metadata.json",
            "CreativeWork",
            about={"@id": "./"},
            conformsTo=[
                {"@id": "https://w3id.org/ro/crate/1.1"},
                {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
            ],
        ),
        entity(
            "main.nf",
            ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            name="CICL for Nextflow",
            description=description,
            creator=AUTHORS,
            license="MIT",
            version=version,
            programmingLanguage={"@id": "#nextflow"},
            citation={"@id": "https://doi.org/10.48550/arXiv.2312.16600"},
        ),
        entity("README.md", "File", about={"@id": "./"}, encodingFormat="text/markdown"),
        *(entity(name, "Dataset" if name.endswith("/") else "File", description=text) for name, text in PARTS.items()),
        entity(
            "#nextflow",
            "ComputerLanguage",
            name="Nextflow",
            url={"@id": "https://www.nextflow.io/"},
            version=re.search(r"nextflowVersion = '(.*)'", config)[1],
        ),
        entity("#authors", "Organization", name="The CICL for Nextflow authors"),
    ]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def main(write: bool) -> int:
    """Write the file, or say that it is stale."""
    missing = [name for name in PARTS if not (ROOT / name).exists()]
    if missing:
        print(f"the crate names what is not there: {', '.join(missing)}")
        return 1
    text = json.dumps(crate(), indent=4, ensure_ascii=False) + "\n"
    if write:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        print("ro-crate-metadata.json is not what README.md, version and files make of it: make format")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
