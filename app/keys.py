"""API keys: how they are written in the settings, and whose a key is.

No message here quotes anything of what was set: any part of it may be a secret.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_KEY = re.compile(r"[!-+\--~]{16,256}")  # ASCII that is seen, without the comma


@dataclass(frozen=True)
class ApiKey:
    """name: whom the key was given to; may be logged. key: the secret."""

    name: str
    key: str = field(repr=False)


def parse_keys(value: Any) -> tuple[ApiKey, ...]:
    """Read ``name:key`` entries, separated by commas or line breaks.

    Raises ValueError, which numbers the entry at fault but quotes nothing.
    """
    if not isinstance(value, str):
        return tuple(value)
    entries = [entry.strip() for entry in re.split(r"[,\n]", value)]
    keys = [_parse(entry, n) for n, entry in enumerate(filter(None, entries), start=1)]
    if not keys:  # of commas alone, say: nobody means by it that everybody may enter
        raise ValueError("there is no entry; write name:key")
    for what in ("name", "key"):
        if len({getattr(key, what) for key in keys}) < len(keys):
            raise ValueError(f"two entries have the same {what}; give each client its own")
    return tuple(keys)


def _parse(entry: str, number: int) -> ApiKey:
    name, colon, key = entry.partition(":")
    if not colon:
        raise ValueError(f"entry {number} has no colon; write name:key")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the name of entry {number} must have 1 to 32 letters, digits, dots, hyphens or "
            "underscores; write name:key"
        )
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"the key of entry {number} must have 16 to 256 characters of printable ASCII, "
            "without spaces and commas"
        )
    return ApiKey(name, key)


ApiKeys = Annotated[tuple[ApiKey, ...], NoDecode, BeforeValidator(parse_keys)]
"""The type of a setting that holds API keys."""


class Keyring:
    """Knows the keys by their hashes only."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._hashes = [(_hash(key.key), key.name) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def name_of(self, key: str) -> str | None:
        """Whose key it is; None if it is nobody's. Takes as long for one as for the other."""
        given, found = _hash(key), None
        for known, name in self._hashes:
            if hmac.compare_digest(given, known):
                found = name
        return found


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
