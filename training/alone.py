"""Running a command of this package by itself, without the `sian` command."""

import typer

from model.errors import SianError


def run_alone(app: typer.Typer, name: str) -> None:
    """Run the command line; errors meant for the user are one line and exit code 1."""
    try:
        app(prog_name=name)
    except SianError as error:
        raise SystemExit(f"error: {error}") from None
