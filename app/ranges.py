"""Parts of a file, as the Range header asks for them (RFC 9110)."""

import re

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


class NotSatisfiable(Exception):
    """The file has no such part."""


def requested(header: str | None, size: int) -> slice | None:
    """The part of ``size`` bytes that is asked for; None for all of it, which also is the answer
    to several parts at once and to what makes no sense.

    Raises NotSatisfiable.
    """
    match = _RANGE.fullmatch(header or "")
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first > last:
        raise NotSatisfiable
    return slice(first, last + 1)
