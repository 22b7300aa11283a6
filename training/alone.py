"""Running a command of this package by itself, without the `sian` command."""

import os
import sys

import typer

from model.errors import RunUnfinished, SianError


def run_alone(app: typer.Typer, name: str) -> None:
    """Run the command line; errors meant for the user are one line and exit code 1, or 75 where
    the same command goes on, as of ``sian``."""
    try:
        app(prog_name=name)
    except RunUnfinished as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(os.EX_TEMPFAIL) from None
    except SianError as error:
        raise SystemExit(f"error: {error}") from None
