"""The Idempotency-Key header: a request that is sent again is not done again."""

import json
import re
from typing import Any

from model.errors import ParameterInvalid
from worker.jobs import Idempotency
from worker.request import sha256

_BARE = re.compile(r"[ -~]{1,255}")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')


def parse_key(header: str) -> str:
    """The key, whether it is quoted, as the draft of the header has it, or not.

    Raises ParameterInvalid.
    """
    if quoted := _QUOTED.fullmatch(header):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if _BARE.fullmatch(header) and not header.startswith('"'):
        return header
    raise ParameterInvalid(
        "Idempotency-Key must have 1 to 255 characters of printable ASCII; send a new UUID with "
        "each new request."
    )


def identify(header: str, *, client: str | None, sent: dict[str, Any]) -> Idempotency:
    """What makes the request one with others of the same client.

    Args:
        client: name of its API key, None where no keys are set.
        sent: everything that was asked for, as the client sent it.

    Raises ParameterInvalid.
    """
    # A name holds no slash, so that no client's keys can be another's.
    return Idempotency(
        key=f"{client or ''}/{parse_key(header)}",
        fingerprint=sha256(json.dumps(sent, sort_keys=True).encode()),
    )
