"""Files that the command line names."""

from pathlib import Path

from model.errors import SianError
from model.files import whole


def read(path: Path, what: str, missing: type[SianError]) -> bytes:
    """Raises ``missing``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise missing(f"The {what} {path} cannot be read: {error.strerror}.") from None


def write(path: Path, data: bytes) -> None:
    """Raises FileUnwritable."""
    with whole(path) as partial:
        partial.write_bytes(data)
