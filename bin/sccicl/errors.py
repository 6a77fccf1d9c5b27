"""The errors a user is meant to read."""


class InputError(ValueError):
    """What is wrong with the input, where, and how to mend it, in one sentence.

    The command line prints it without a traceback and exits with code 2.
    """


class NoGPUError(InputError):
    """A GPU was asked for and none can be used."""
