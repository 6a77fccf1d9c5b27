"""Check the prose of README, docs, help texts and parameter descriptions by docs/style.md.

usage: prose.py        prints file, line and what to write instead; the status is 1 if anything was found
"""

import json
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_WORDS = 25
# Pages of tables and formulas are not prose: only their words are checked.
NO_LENGTH = {"CITATIONS.md", "CHANGELOG.md", "architecture.md"}


def avoided() -> list[tuple[re.Pattern, str]]:
    """Expressions to avoid and what to write, from the table of docs/style.md."""
    text = (ROOT / "docs" / "style.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` +\| (.+?) +\|$", text, re.MULTILINE)
    return [(re.compile(rf"\b{phrase}\b".replace("\\|", "|"), re.IGNORECASE), instead) for phrase, instead in rows]


def prose_of(text: str) -> list[tuple[int, str]]:
    """Paragraphs of a Markdown file with their lines; without code, tables, headings and targets of links."""
    found, block, start, fenced = [], [], 0, False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        is_text = not fenced and not line.lstrip().startswith(("```", "|", "#", "<", "!["))
        begins = re.match(r"\s*([-*]|\d+\.) ", line)
        if block and (begins or not line.strip() or not is_text):
            found.append((start, " ".join(block)))
            block = []
        if is_text and line.strip():
            start = start if block else number
            block.append(re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "code", line)).strip())
    return found


def sentences(paragraph: str) -> list[str]:
    """Sentences of a paragraph; a colon or semicolon before a list ends none."""
    return [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9*\"'`(\[])", paragraph) if len(part.split()) > 2]


def texts() -> list[tuple[str, int, str]]:
    """File, line and text of everything that is checked for words."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [
        (str(path.relative_to(ROOT)), line, text)
        for path in pages
        if path.name != "style.md"
        for line, text in prose_of(path.read_text(encoding="utf-8"))
    ]
    schema = json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf-8"))
    for group in schema.get("$defs", schema.get("definitions", {})).values():
        for name, parameter in group.get("properties", {}).items():
            for key in ("description", "help_text"):
                if key in parameter:
                    found.append((f"nextflow_schema.json ({name})", 0, parameter[key]))
    for path in sorted((ROOT / "bin" / "sccicl").rglob("*")):
        if path.suffix in (".html", ".js"):
            plain = re.sub(r"\{[{%].*?[%}]\}|<[^>]+>", " ", path.read_text(encoding="utf-8"))
            found += [(str(path.relative_to(ROOT)), number, line) for number, line in enumerate(plain.splitlines(), 1)]
        if path.suffix == ".py" and path.parent.name == "cli":
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                found.append((str(path.relative_to(ROOT)), number, line))
    return found


def main() -> int:
    """Print every finding; 1 if there is one."""
    rules, found, lengths = avoided(), [], {}
    for where, line, text in texts():
        for pattern, instead in rules:
            if hit := pattern.search(text):
                found.append(f"{where}:{line}: '{hit[0]}': write {instead}")
        if where.endswith(".md") and Path(where).name not in NO_LENGTH:
            lengths.setdefault(where, []).extend(len(one.split()) for one in sentences(text))
    for where, words in lengths.items():
        if words and statistics.mean(words) > MOST_WORDS:
            found.append(f"{where}: sentences have {statistics.mean(words):.1f} words on average, {MOST_WORDS} at most")
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
