"""What kept work was made from, so that it is never taken for other work.

A folder of the laboratory outlives the options it was begun with. Each run in it therefore has a
note, and what the note says is compared before the run is used or continued.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from model.errors import ResumeMismatch
from model.files import write_whole
from model.version import code_version
from training.results import checkout
from training.state import RunConfig, listed

NOTE_NAME = "made-from.json"

Origin = dict[str, Any]
"""JSON-ready: what a run depends on besides its settings, as digests."""

# Two runs that differ in it alone are the same run on two machines.
_FREE = {"precision"}
_CODE, _COMPUTED_ON = _TOLD = ("code", "computed_on")  # in a note; told and not compared
_NOT_NOTED = "not noted"


def claim(
    run: Path,
    config: RunConfig,
    others: Origin,
    *,
    unnoted: Origin | None = None,
    working: str | None = None,
) -> None:
    """Note in the folder ``run`` what it is made from, ``config`` and ``others``, by what code and
    on what device.

    unnoted: what is known of a run that has no note; None when nothing was made there yet. What is
        not known is noted as such, and never refused.
    working: when the run is to be begun or continued now, by the code that runs: the device and
        precision.
    Raises ResumeMismatch when the run was made from something else.
    """
    note, wanted = run / NOTE_NAME, {"config": config.to_dict(), **others}
    stored = _read(note) if note.is_file() else unnoted or {}
    untold = [_NOT_NOTED] if stored else []
    told = {key: stored.pop(key, untold) for key in _TOLD}
    known = {key: value for key, value in stored.items() if value != _NOT_NOTED}
    unknown = [key for key in wanted if key not in known] if stored else []
    if "config" in known:  # a setting younger than the note counts as its default
        known["config"] = type(config).from_dict(known["config"]).to_dict()
    asked = dict(_flat({key: wanted[key] for key in wanted if key in known}))
    had = dict(_flat(known))
    differing = [
        f"{name} is {had.get(name, 'not there')}, now {asked.get(name, 'not there')}"
        for name in sorted(asked.keys() | had.keys())
        if name not in _FREE and had.get(name) != asked.get(name)
    ]
    if differing:
        raise ResumeMismatch(
            f"{run} was made with other options ({_short(listed(differing))}). Choose another "
            f"--folder, or delete {run} to make it again."
        )
    if working is not None:
        now = {_CODE: running_code(), _COMPUTED_ON: working}
        before = told if unnoted else {key: [] for key in _TOLD}
        told = {key: list(dict.fromkeys([*before[key], now[key]])) for key in _TOLD}
    elif "config" in known:
        wanted["config"] |= {key: known["config"][key] for key in _FREE & known["config"].keys()}
    wanted |= dict.fromkeys(unknown, _NOT_NOTED) | told
    text = json.dumps(wanted, indent=1, sort_keys=True) + "\n"
    if not note.is_file() or note.read_text("utf-8") != text:
        write_whole(note, text)


def made_by(runs: Sequence[Path]) -> dict[str, list[list[str]]]:
    """``code`` and ``computed_on``: for each run the code that worked on it, and on which devices
    and in which precisions, as its note says; nothing without one."""
    notes = [_read(run / NOTE_NAME) if (run / NOTE_NAME).is_file() else {} for run in runs]
    return {key: [note.get(key, []) for note in notes] for key in _TOLD}


@cache
def running_code() -> str:
    """The commit of the code that runs, or its version where there is no checkout."""
    found = checkout()
    if not found:
        return code_version()
    return f"{found['commit']}{' with changes' if found['uncommitted_changes'] else ''}"


def config_in(path: Path) -> dict[str, Any] | None:
    """The settings of a run as its state or result tells them; None without the file.

    Raises ResumeMismatch when it does not tell.
    """
    if not path.is_file():
        return None
    card = path.with_suffix(".json")  # of SIAN's own networks
    if card.is_file():
        found: dict[str, Any] = _read(card)["training"]["config"]
        return found
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        found = json.loads(metadata["segnet" if "segnet" in metadata else "config"])
    except (SafetensorError, KeyError) as error:
        raise ResumeMismatch(
            f"{path} does not tell what it was made with ({error}). Delete it to make it again."
        ) from None
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ResumeMismatch(f"{path} is damaged ({error}). Delete {path.parent}.") from None


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, JSON) of every value in nested dictionaries."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, "" if key == "config" else f"{prefix}{key}.")
        else:
            yield prefix + key, json.dumps(value)


def _short(text: str) -> str:
    return re.sub(r"[0-9a-f]{64}", lambda match: match[0][:8], text)
