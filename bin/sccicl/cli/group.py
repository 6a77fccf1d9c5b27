"""The command group `cicl`: order of the commands, and errors of the input in one line."""

import atexit
import gc
from typing import Any

import click

from .._version import __version__
from ..errors import InputError, one_line
from ..runtime.environment import set_environment
from .exit_status import explained, unwound_by_signals

# As `--help` lists them: what a user starts with, then the steps as they follow each other, then what few need
ORDER = (
    *("run", "demo-data", "check-reads", "call-cells", "join", "prepare", "init", "fit", "cluster", "score"),
    *("markers", "annotate", "plot", "export", "report", "map", "label-model", "integrate", "rerun", "checksums"),
)


class Commands(click.Group):
    """Commands in the order in which they are run, and errors of the input without a traceback.

    `order` has the names as `--help` lists them; without it they come as they were defined.
    """

    def __init__(self, *args: Any, order: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.order = order

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `--help`."""
        return sorted(self.commands, key=self.order.index) if self.order else list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an InputError ends it with one line and exit code 2, other errors as `explained` says."""
        received: list[int] = []
        try:
            with unwound_by_signals() as received:
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            end = explained(error, received)
            if end is None and isinstance(error, InputError):
                end = str(error), 2
            if end is None and (end := _of_changed_file(ctx, error)) is None:
                raise
            click.echo(f"ERROR: {one_line(end[0])}", err=True)
            ctx.exit(end[1])


CHANGED_FILES = "cicl.changed_files"


def _of_changed_file(ctx: click.Context, error: BaseException) -> tuple[str, int] | None:
    """What to tell of an error after a file of a step was read that another program has changed."""
    if not (changed := ctx.meta.get(CHANGED_FILES)):
        return None
    reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
    return f"{changed[-1]} was changed by another program and lacks what it had ({reason}); run its step again", 2


@click.group(
    cls=Commands, order=ORDER, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(__version__, prog_name="cicl")
def main() -> None:
    """Cluster single cells by cluster-aware iterative contrastive learning.

    `run` does a sample from the counts to the report. The other commands are its steps.
    """
    set_environment()
    # Python's last collections look at every object of every package, for one to two seconds; the system takes it all.
    atexit.register(gc.freeze)
