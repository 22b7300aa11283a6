"""The version of this code, as written into cards and manifests."""

import functools
from importlib import metadata


@functools.cache
def code_version() -> str:
    """Version of the installed distribution; ``unknown`` when run from a bare source tree."""
    try:
        return metadata.version("sian")
    except metadata.PackageNotFoundError:
        return "unknown"
