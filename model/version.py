"""The version of this code, as written into cards and manifests."""

from importlib import metadata


def code_version() -> str:
    """Version of the installed distribution; ``unknown`` when run from a bare source tree."""
    try:
        return metadata.version("sian")
    except metadata.PackageNotFoundError:
        return "unknown"
