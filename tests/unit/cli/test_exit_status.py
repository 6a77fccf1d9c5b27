"""How a command ends after a signal."""

import signal
import time

import click
import pytest
from click.testing import CliRunner
from sccicl.cli.exit_status import unwound_by_signals
from sccicl.cli.group import Commands
from sccicl.errors import InputError

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture(autouse=True)
def in_the_foreground():
    """A shell has SIGINT ignored by what it runs in its background, such as these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def end_of(function):
    """Result of a command of the group that calls the function."""
    group = Commands("cicl", commands={"do": click.Command("do", callback=function)}, order=("do",))
    return CliRunner().invoke(group, ["do"])


@SIGNALS
def test_a_signal_in_a_destructor_is_not_lost(number):
    """Python drops every exception there."""
    cleaned = []

    class Ending:
        def __del__(self):
            signal.raise_signal(number)

    def work():
        try:
            Ending()
            time.sleep(60)
        finally:
            cleaned.append(True)

    before = signal.getsignal(number)
    assert end_of(work).exit_code == 128 + number
    assert cleaned and signal.getsignal(number) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_errors_of_destructors_end_nothing():
    class Failing:
        def __del__(self):
            raise ValueError("of a destructor")

    assert end_of(lambda: Failing() and None).exit_code == 0


@SIGNALS
@pytest.mark.parametrize("error", [ImportError("numpy._core.multiarray failed to import"), InputError("a.h5ad: no")])
def test_an_error_that_a_signal_became_is_not_one_of_the_input(number, error):
    """As of code in C, and of an import that is interrupted."""

    def work():
        try:
            signal.raise_signal(number)
        except BaseException:
            raise error from None

    ended = end_of(work)
    assert ended.exit_code == 128 + number and "interrupted" in ended.output


def test_an_ignored_sigint_stays_ignored():
    """As in a command that a shell runs in its background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with unwound_by_signals() as received:
        signal.raise_signal(signal.SIGINT)
    assert not received
