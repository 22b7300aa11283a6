"""The command that a result was measured with."""

import shlex
from pathlib import Path
from typing import Any

import typer

from training.evaluation.report import portable


def recorded_command(module: str, context: typer.Context) -> str:
    """How to run ``module`` again with the options it runs with now.

    Told are the options that are not at their defaults, in the order of ``--help``, and paths as
    seen from the working folder. ``--out`` is left out: it changes nothing that is measured.

    context: of the command that runs.
    """
    words = ["python", "-m", module]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if option.name != "out" and value != option.get_default(context):
            words.append(_told(option, value))
    return shlex.join(words)


def _told(option: Any, value: object) -> str:
    if isinstance(value, bool):
        return str((option.opts if value else option.secondary_opts)[0])
    return f"{option.opts[0]}={portable(value) if isinstance(value, Path) else value}"
