"""Files that the command line names."""

from pathlib import Path

from model.errors import ParameterInvalid, SianError


def read(path: Path, what: str, missing: type[SianError]) -> bytes:
    """Raises ``missing``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise missing(f"The {what} {path} cannot be read: {error.strerror}.") from None


def write(path: Path, data: bytes) -> None:
    """Raises ParameterInvalid."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ParameterInvalid(
            f"{path} cannot be written: {error.strerror}. Choose another --out."
        ) from None
