"""Whether jobs are being worked on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """is_ready: a warm network takes jobs and makes progress. reason: if not, why not, in words
    for whoever runs the service."""

    is_ready: bool
    reason: str = ""
