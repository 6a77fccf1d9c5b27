"""What fuzzed files and options share: how many there are, how they are drawn, and what a refusal looks like."""

import os
import signal
import warnings

from click.testing import CliRunner
from hypothesis import HealthCheck
from sccicl.cli import main

EXAMPLES = int(os.environ.get("CICL_EXAMPLES", 100))
MANY = 2000
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}
AT_RANDOM = {**QUIET, "derandomize": False, "print_blob": True}

ODD_TEXTS = [
    "", " ", "0", "-1", "1", "2", "7", "1.5", "-0.0", "nan", "NaN", "inf", "-inf", "1e308", "1e-320", "1e999", "0x10",
    "1_000", "99999999999999999999", "٣", "²", "½", "true", "None", "null", "auto", "5,", ",", "a,b", "å∂ƒ細胞🧬",
    "..", ".", "/", "a/b", "-x", "--", "'\"$(x)", "%s{}", "a\tb", "x" * 300,
]  # fmt: skip


def is_a_sentence(told: str) -> bool:
    """One line that says what is wrong where, and after a colon, semicolon or comma what to do."""
    return "\n" not in told and len(told) > 30 and any(mark in told for mark in (": ", "; ", ", "))


def outcome(*arguments: object) -> int:
    """Run a command; 0, or 2 after one sentence. Anything else fails the test, a traceback as itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ended = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    if ended.exit_code == 128 + signal.SIGTERM:
        # The tests were told to end, by `timeout` say, and the command only took the signal for them.
        raise KeyboardInterrupt
    assert ended.exit_code in (0, 2), (ended.exit_code, ended.output)
    if ended.exit_code == 2:
        errors = [line for line in ended.stderr.splitlines() if line.lower().startswith("error: ")]
        assert len(errors) == 1, ended.output
        # click's own begin with "Error: " and follow the usage.
        assert errors[0].startswith("Error: ") or is_a_sentence(errors[0]), errors
        assert ended.stderr.rstrip().endswith(errors[0]) or errors[0].startswith("Error: "), ended.stderr
    return ended.exit_code
