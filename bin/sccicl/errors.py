"""The errors a user is meant to read."""

import re


class InputError(ValueError):
    """What is wrong with the input, where, and how to fix it, in one sentence.

    The command line prints it without a traceback and exits with code 2.
    """


class NoGPUError(InputError):
    """A GPU was asked for and none can be used."""


def one_line(message: object) -> str:
    """The message with line ends and control characters, which a name or an option may hold, as escapes."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], str(message))
