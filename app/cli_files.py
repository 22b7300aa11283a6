"""Files that the command line names."""

from collections.abc import Sequence
from pathlib import Path

from model.errors import ParameterInvalid, SianError
from model.files import whole


def read(path: Path, what: str, missing: type[SianError]) -> bytes:
    """Raises ``missing``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise missing(f"The {what} {path} cannot be read: {error.strerror}.") from None


def keep_inputs(read_from: Sequence[Path], written_to: Sequence[Path]) -> None:
    """Raises ParameterInvalid where a file would be written over one that is read."""
    inputs = {path.resolve() for path in read_from}
    for path in written_to:
        if path.resolve() in inputs:
            raise ParameterInvalid(
                f"{path} would be written over: the tile, or its manifest, would replace what it "
                "is made from. Give --out another name."
            )


def write(path: Path, data: bytes) -> None:
    """Raises FileUnwritable."""
    with whole(path) as partial:
        partial.write_bytes(data)
