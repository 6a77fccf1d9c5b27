"""Inputs and outputs of a process, read from its main.nf."""

import re
from dataclasses import dataclass, field
from pathlib import Path

QUALIFIERS = ("val", "path", "eval", "env", "stdin", "stdout", "tuple", "each")
OPTIONS = ("emit", "topic", "optional", "arity", "stageAs", "name")
OPENING, CLOSING = "([{", ")]}"


@dataclass
class Element:
    """One part of a channel: `kind` val, path, eval ..., and the `text` of what it takes or gives, without quotes."""

    kind: str
    text: str


@dataclass
class Channel:
    """One input or output; `elements` has one for each part of a tuple."""

    elements: list[Element]
    is_tuple: bool
    emit: str | None = None
    topic: str | None = None


@dataclass
class Process:
    """A process as its main.nf declares it."""

    name: str
    inputs: list[Channel] = field(default_factory=list)
    outputs: list[Channel] = field(default_factory=list)


def split_top(text: str) -> list[str]:
    """Parts of `text` between the commas that stand outside brackets and quotes."""
    parts, depth, quote, start, i = [], 0, "", 0, 0
    while i < len(text):
        character = text[i]
        if character == "\\":
            i += 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
        i += 1
    return [part.strip() for part in [*parts, text[start:]]]


def _element(text: str) -> Element | None:
    """`path(cells, stageAs: 'x')`, `path cells`, `val meta`; None where it is an option such as `emit: cells`."""
    found = re.match(rf"({'|'.join(QUALIFIERS)})\b\s*(.*)$", text, re.DOTALL)
    if not found:
        return None
    inside = found[2].strip()
    if inside.startswith("(") and inside.endswith(")"):
        inside = inside[1:-1]
    text = split_top(inside)[0]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return Element(found[1], text.replace('\\"', '"').replace("\\\\", "\\"))


def _channel(line: str) -> Channel:
    is_tuple = line.startswith("tuple")
    parts = split_top(line.removeprefix("tuple").strip())
    elements = [element for part in parts if (element := _element(part)) is not None]
    options = dict(
        re.findall(r"^(\w+)\s*:\s*['\"]?(\w+)", part)[0] for part in parts if re.match(r"(emit|topic)\s*:", part)
    )
    return Channel(elements, is_tuple, options.get("emit"), options.get("topic"))


def _block(text: str, name: str) -> list[str]:
    """Declarations of a block of the process; one that goes on in the next line is joined."""
    found = re.search(
        rf"^    {name}:\n(.*?)(?=^    (?:input|output|when|script|shell|exec|stub):|^\}})", text, re.M | re.S
    )
    lines: list[str] = []
    for line in found[1].splitlines() if found else []:
        line = line.strip()
        if not line or line.startswith("//"):
            continue
        if lines and lines[-1].endswith(","):
            lines[-1] += " " + line
        else:
            lines.append(line)
    return lines


def read_process(path: Path) -> Process:
    """Read the one process of a module's main.nf."""
    text = path.read_text(encoding="utf-8")
    return Process(
        re.search(r"^process (\w+) \{", text, re.MULTILINE)[1],
        [_channel(line) for line in _block(text, "input")],
        [_channel(line) for line in _block(text, "output")],
    )
