"""The group of commands, and how they end.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import re
import sys
import traceback
from dataclasses import dataclass
from typing import Any

import click

from .. import __version__
from .console import complain, warnings_as_notes
from .demo import demo
from .discover import discover
from .explain import explain
from .fit import fit
from .info import info
from .plot import plot

_DONE, _FAILED, _BAD_INPUT, _STOPPED = 0, 1, 2, 130
# What the library's checks raise, and the system for paths that cannot be used.
_INPUT_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


@dataclass
class Settings:
    """Options before the command."""

    debug: bool = False


class App(click.Group):
    """Commands whose errors are one line on standard error."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit with its code."""
        settings = Settings()
        options = {**extra, "standalone_mode": False, "obj": settings}
        try:
            with warnings_as_notes():
                code = super().main(*args, **options)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.UsageError as error:
            complain(_usage(error))
            code = error.exit_code
        except click.Abort:
            complain("stopped.")
            code = _STOPPED
        except Exception as error:
            if settings.debug:
                traceback.print_exception(error)
            # A full disk is nobody's bad input, but no surprise either.
            expected = isinstance(error, (*_INPUT_ERRORS, OSError))
            complain(_message(error) if expected else _surprise(error, settings))
            code = _BAD_INPUT if isinstance(error, _INPUT_ERRORS) else _FAILED
        sys.exit(code or _DONE)


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="knotwork", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def app(settings: Settings, debug: bool) -> None:
    """Fit Kolmogorov-Arnold networks to data, look at them, and read the formula.

    Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 stopped by Ctrl-C.
    """
    settings.debug = debug


app.add_command(demo)
app.add_command(discover)
app.add_command(explain)
app.add_command(fit)
app.add_command(info)
app.add_command(plot)


def _usage(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "knotwork"
    return f"{error.format_message()} See {command} --help."


def _message(error: Exception) -> str:
    """Return what an error says, in the words of the command line."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    # A KeyError's text is its argument in quotes.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return re.sub("^lib(?= |:)", "--lib", text.replace("inputs=[...]", "--inputs A,B"))


def _surprise(error: Exception, settings: Settings) -> str:
    text = f"{type(error).__name__}: {_message(error)}"
    return text if settings.debug else f"{text} (knotwork --debug ... shows the traceback)"
