"""Running a command of this package by itself, without the `sian` command."""

import os
import sys

import typer

from model.errors import RunBusy, RunStopped, RunUnfinished, SianError

_CODES: dict[type[SianError], int] = {
    RunUnfinished: os.EX_TEMPFAIL,
    RunBusy: os.EX_TEMPFAIL,
    RunStopped: 130,
}


def run_alone(app: typer.Typer, name: str) -> None:
    """Run the command line; errors meant for the user are one line and exit code 1. Where the
    same command can be run again the code is that of ``sian``."""
    try:
        app(prog_name=name)
    except SianError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(_CODES.get(type(error), 1)) from None
