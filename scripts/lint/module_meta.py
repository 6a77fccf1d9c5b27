"""The meta.yml of every module in the form of nf-core: made to fit main.nf, and checked.

usage: python scripts/lint/module_meta.py [--write] [FOLDER...]

Without --write it says what is missing or does not fit, and ends with status 1 if anything does. With it, inputs and
outputs are written as main.nf has them, and the descriptions that a meta.yml holds are kept; it never makes one up.
"""

import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from process import Channel, Element, Process, read_process

ROOT = Path(__file__).resolve().parents[2]
AUTHORS = ["The CICL for Nextflow authors"]
OF_VERSIONS = {
    "process": {"type": "string", "description": "The name of the process"},
    "tool": {"type": "string", "description": "The name of the tool"},
    "version": {"type": "eval", "description": "The expression to obtain the version of the tool"},
}

# The shape that nf-core's own schema of a module's meta.yml asks for
ELEMENT = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": {
        "type": "object",
        "required": ["type", "description"],
        "properties": {
            "type": {"enum": ["map", "file", "directory", "string", "integer", "float", "boolean", "list", "eval"]},
            "description": {"type": "string", "minLength": 3},
            "pattern": {"type": "string"},
            "enum": {"type": "array"},
            "ontologies": {"type": "array"},
        },
        "additionalProperties": False,
    },
}
TUPLE_OR_ELEMENT = {"oneOf": [ELEMENT, {"type": "array", "items": ELEMENT, "minItems": 1}]}
SHAPE = {
    "type": "object",
    "required": ["name", "description", "keywords", "tools", "output", "authors"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9_]+$"},
        "description": {"type": "string", "minLength": 10},
        "keywords": {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
        "tools": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["description", "licence"],
                    "anyOf": [{"required": [where]} for where in ("homepage", "documentation", "tool_dev_url", "doi")],
                    "properties": {"licence": {"type": "array", "minItems": 1}, "description": {"type": "string"}},
                },
            },
        },
        "input": {"type": "array", "items": TUPLE_OR_ELEMENT},
        "output": {"type": "object", "additionalProperties": {"type": "array", "items": TUPLE_OR_ELEMENT}},
        "topics": {"type": "object", "additionalProperties": {"type": "array", "items": TUPLE_OR_ELEMENT}},
        "authors": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "maintainers": {"type": "array", "items": {"type": "string"}},
        "extra": {"type": "object"},
    },
    "additionalProperties": False,
}


def described(node: Any, found: dict[str, dict] | None = None) -> dict[str, dict]:
    """Every description in a part of a meta.yml, by the name of what it describes."""
    found = {} if found is None else found
    if isinstance(node, list):
        for item in node:
            described(item, found)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict) and "description" in value and "type" in value:
                found.setdefault(str(key), value)
            else:
                described(value, found)
    return found


def _is_versions(channel: Channel) -> bool:
    return channel.topic == "versions" or (channel.emit or "").startswith("versions")


def _versions(channel: Channel) -> list[dict]:
    return [{element.text: dict(kind)} for element, kind in zip(channel.elements, OF_VERSIONS.values(), strict=False)]


def _part(element: Element, known: dict[str, dict], only: dict | None) -> dict[str, dict]:
    """The entry of one element; its description is looked up by its own name, then taken as the `only` one there is."""
    value = known.get(element.text) or only or {}
    kind = value.get("type") or {"path": "file", "eval": "eval"}.get(element.kind, "string")
    entry = {"type": kind, "description": value.get("description", ""), "ontologies": [], **value}
    return {
        element.text: entry if kind in ("file", "directory") else {k: v for k, v in entry.items() if k != "ontologies"}
    }


def fitted(meta: dict[str, Any], process: Process) -> dict[str, Any]:
    """`meta` with inputs and outputs as `process` has them."""
    inputs = described(meta.get("input", []))
    new_inputs = []
    for channel in process.inputs:
        parts = [_part(element, inputs, None) for element in channel.elements]
        new_inputs.append(parts if channel.is_tuple else parts[0])
    outputs: dict[str, Any] = {}
    topics: dict[str, Any] = {}
    for channel in process.outputs:
        emit = channel.emit or channel.topic or "out"
        if _is_versions(channel):
            parts = _versions(channel)
        else:
            known = described((meta.get("output") or {}).get(emit, []))
            others = [value for key, value in known.items() if key not in {e.text for e in channel.elements} | {"meta"}]
            parts = [
                _part(e, inputs | known, others[0] if len(others) == 1 and e.kind == "path" else None)
                for e in channel.elements
            ]
        outputs[emit] = [parts if channel.is_tuple else parts[0]]
        if channel.topic:
            topics.setdefault(channel.topic, []).append(parts)
    order = ("name", "description", "keywords", "tools")
    new = {key: meta[key] for key in order if key in meta} | {"input": new_inputs, "output": outputs}
    new |= {"topics": topics} if topics else {}
    authors = meta.get("authors", AUTHORS)
    return new | {"authors": authors, "maintainers": meta.get("maintainers", authors)}


def errors(meta: dict[str, Any], process: Process, path: Path) -> list[str]:
    """What is wrong with a meta.yml, a sentence each."""
    found = [
        f"{'.'.join(map(str, error.absolute_path)) or 'the file'}: {error.message.splitlines()[0][:200]}"
        for error in jsonschema.Draft202012Validator(SHAPE).iter_errors(meta)
    ]
    if meta.get("name") != process.name.lower():
        found.append(f"name is '{meta.get('name')}', and the process is {process.name}: write {process.name.lower()}")
    if not found and meta != fitted(meta, process):
        found.append("inputs or outputs are not those of main.nf")
    return [f"{path}: {text}" for text in found]


class _Dumper(yaml.SafeDumper):
    """Indents lists as prettier does, and repeats what is there twice instead of naming it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def main(arguments: list[str]) -> int:
    """Check, or write, the meta.yml of the modules below the folders (modules/local by default)."""
    write = "--write" in arguments
    folders = [Path(word) for word in arguments if word != "--write"] or [ROOT / "modules" / "local"]
    wrong = []
    for source in sorted(path for folder in folders for path in folder.rglob("main.nf")):
        path = source.with_name("meta.yml")
        process = read_process(source)
        meta = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        if write:
            meta = fitted(meta | {"name": process.name.lower()}, process)
            text = yaml.dump(meta, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118)
            path.write_text(text, encoding="utf-8")
        elif not path.exists():
            wrong.append(f"{path} is missing")
        wrong += errors(meta, process, path)
    print("\n".join(wrong) or "meta.yml of every module fits its main.nf")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
