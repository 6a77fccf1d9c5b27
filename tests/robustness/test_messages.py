"""Every message of an InputError, read from the source: one sentence that names the culprit and the remedy."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from sccicl.cli import main

ENGINE = Path(__file__).parents[2] / "bin" / "sccicl"
ERRORS = ("InputError", "NoGPUError", "UsageError")
# What a remedy begins with, after a colon, a semicolon or a comma: an imperative, or the place of one that is put in.
REMEDIES = (
    "add", "allow", "ask", "begin", "call", "check", "choose", "cluster", "copy", "correct", "cut", "drop", "fill",
    "give", "install", "keep", "leave", "make", "map", "move", "name", "put", "read", "remove", "rename", "run",
    "save", "say", "start", "store", "swap", "take", "unpack", "use", "write",
)  # fmt: skip
# An option and what it may be is culprit and remedy in one.
OF_OPTIONS = re.compile(r"must be (?:one of|at least|at most|called|an?) ")


def template_of(node: ast.expr) -> str | None:
    """Text of a message with {…} for what is put in; None where it is made elsewhere."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
            for part in node.values
        )
    return None


def messages() -> list[tuple[str, str]]:
    """Place and text of each message."""
    found = []
    for path in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = getattr(getattr(node, "func", None), "id", getattr(getattr(node, "func", None), "attr", None))
            if isinstance(node, ast.Call) and called in ERRORS and node.args:
                text = template_of(node.args[0])
                if text is not None:
                    found.append((f"{path.relative_to(ENGINE)}:{node.lineno}", text))
    return found


# Things that a command has one of
ONLY_ONES = ("the reads match no gene", "the code has changed", "the sample has no clusters", "the reference model")
MESSAGES = messages()


def test_all_messages_are_found():
    assert len(MESSAGES) > 120


@pytest.mark.parametrize(("place", "text"), MESSAGES, ids=[place for place, _ in MESSAGES])
def test_a_message_names_culprit_and_remedy(place, text):
    assert "\n" not in text and not text.endswith("."), "one line without a full stop"
    assert any(mark in text for mark in ("{", "--", "<id>", *ONLY_ONES)), "what is it about?"
    after = re.findall(r"(?:[:;,]|\?|\bso|\bor|\band)(?: or| so)? (\{[^}]*\}|[a-z]+)", text)
    named = any(word in REMEDIES or re.match(r"\{(remedy|hint|reason|FORM|EXPECTED_FILES)", word) for word in after)
    assert named or OF_OPTIONS.search(text), f"what is to be done? {text}"


@pytest.mark.parametrize("name", ["a\rb", "a\nERROR: all is well", "a\x1b[2Jb", "a\u2028b"])
def test_a_name_cannot_break_the_line(name):
    ended = CliRunner().invoke(main, ["score", f"{name}.h5ad"])
    assert ended.exit_code == 2 and len(ended.output.splitlines()) == 1
    assert ended.output.startswith("ERROR: ") and ended.output.rstrip("\n").isprintable()
