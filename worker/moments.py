"""Moments as whole microseconds since 1970, and spans of time, as stores keep them exactly."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Of a moment that knows its time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def span_us(seconds: float) -> int:
    """Of a length of time."""
    return round(seconds * 1_000_000)


def from_us(microseconds: int) -> datetime:
    """In UTC."""
    return _EPOCH + microseconds * _MICROSECOND
