"""Reading the Accept and Prefer request headers (RFC 9110, RFC 7240)."""

import math
import re
from collections.abc import Sequence

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Every blank has one place where it can match: tried in two, a header of blanks would take minutes.
_PREFERENCE = re.compile(rf'\s*({_TOKEN})(?:\s*=\s*("[^"]*"|{_TOKEN}))?\s*(?:;.*)?')


def choose(accept: str | None, offers: Sequence[str]) -> str | None:
    """The media type to answer with; None if the client takes none of them.

    Args:
        accept: value of the Accept header, None if absent.
        offers: media types that can be sent; the first wins where the client has no preference.
    """
    ranges = _ranges(accept or "*/*")
    best, best_quality = None, 0.0
    for offer in offers:
        quality = _quality(offer, ranges)
        if quality > best_quality:
            best, best_quality = offer, quality
    return best


def _ranges(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if not media_range:
            continue
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _number(value)
        ranges.append((media_range, quality))
    return ranges


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def _quality(offer: str, ranges: list[tuple[str, float]]) -> float:
    """Quality of the most specific range that covers the offer; 0 if none does."""
    kind = offer.split("/")[0]
    for pattern in (offer, f"{kind}/*", "*/*"):
        qualities = [quality for media_range, quality in ranges if media_range == pattern]
        if qualities:
            return max(qualities)
    return 0.0


def preferred_wait(prefer: str | None, *, longest_s: float) -> tuple[float, str | None]:
    """How long to wait for the result, and the preferences that were applied, if any.

    ``wait=N``: N seconds, at most ``longest_s``. ``respond-async``: 0 unless ``wait`` says
    otherwise. Of two that contradict each other the first holds, and those that are unknown or
    make no sense are ignored, as RFC 7240 asks.
    """
    is_async, wait_s = False, None
    for part in (prefer or "").split(","):
        match = _PREFERENCE.fullmatch(part)
        if not match:
            continue
        name, value = match[1].lower(), (match[2] or "").strip('"')
        if name == "respond-async":
            is_async = True
        if name == "wait" and wait_s is None and value.isascii() and value.isdigit():
            wait_s = min(float(value), longest_s)
    applied = ["respond-async"] if is_async else []
    if wait_s is not None:
        applied.append(f"wait={wait_s:g}")
    else:
        wait_s = 0.0 if is_async else longest_s
    return wait_s, ", ".join(applied) or None
