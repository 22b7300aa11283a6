"""What is said of a field whose value is of the wrong type or out of range."""

from collections.abc import Mapping
from typing import Any, get_args

from starlette.datastructures import UploadFile

from model.formats import MaskFormat
from worker.request import MAX_SEED, MAX_TILES, MPP_RANGE

LONGEST_DEADLINE_S = 7 * 24 * 3600

_WANTED = {
    "seed": f"a whole number from 0 to {MAX_SEED}",
    "n": f"a whole number from 1 to {MAX_TILES}",
    "mpp": f"a number from {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g}",
    "label_components": "true or false",
    "deadline_s": f"a number of seconds above 0, up to {LONGEST_DEADLINE_S}",
    "organ": "text, the name of a preset or custom style",
    "styles": "text, a JSON object of weights",
    "weights": "text, a JSON list of numbers",
    "name": "text, 1 to 64 lower case letters, digits, hyphens and underscores",
    "index": "a whole number",
    "only": "'cancel', or left out",
    "statistics": "an object of numbers by name",
    "format": f"one of {', '.join(get_args(MaskFormat))}",
}
"""Of each field of a request, whatever is wrong with it: pydantic's messages speak to
programmers."""
_LONGEST = 80


def reason(name: str, error: Mapping[str, Any]) -> str:
    """error: of pydantic's."""
    if error["type"] == "extra_forbidden":
        return f"there is no field {name!r}"
    value = error["input"]
    was = "a file" if isinstance(value, UploadFile) else repr(str(value)[:_LONGEST])
    if name in _WANTED:
        return f"{name} must be {_WANTED[name]}, was {was}"
    return f"{name}: {error['msg']}, was {was}"
