"""Files in a folder of this machine, or of a volume that machines share."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from model.errors import SettingsInvalid


class DiskFiles:
    """``worker.artifacts.Files`` on a disk.

    Raises:
        SettingsInvalid: the folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            raise SettingsInvalid(
                f"SIAN_DATA_DIR or SIAN_ARTIFACTS_URL: the folder {root} cannot be written "
                f"({error.strerror}). Make it writable or choose another."
            ) from None

    def write(self, folder: str, name: str, data: bytes) -> None:
        with self._partial(folder, name, data) as partial:
            partial.replace(partial.parent / name)

    def create(self, folder: str, name: str, data: bytes) -> bool:
        with self._partial(folder, name, data) as partial:
            try:
                (partial.parent / name).hardlink_to(partial)
            except FileExistsError:
                return False
        return True

    @contextlib.contextmanager
    def _partial(self, folder: str, name: str, data: bytes) -> Iterator[Path]:
        """A whole file beside the one it is to become, so that becoming it stays on one file
        system. What it became lasts when this ends."""
        parent = self._root / folder
        if not parent.is_dir():
            parent.mkdir(parents=True, exist_ok=True)
            _sync(self._root)
        partial = parent / f".{name}.{secrets.token_hex(8)}"
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield partial
            _sync(parent)
        finally:
            partial.unlink(missing_ok=True)

    def read(self, folder: str, name: str) -> bytes:
        return (self._root / folder / name).read_bytes()

    def read_part(self, folder: str, name: str, first: int, stop: int) -> bytes:
        with (self._root / folder / name).open("rb") as file:
            file.seek(first)
            return file.read(stop - first)

    def size(self, folder: str, name: str) -> int:
        return (self._root / folder / name).stat().st_size

    def exists(self, folder: str, name: str) -> bool:
        return (self._root / folder / name).is_file()

    def folders(self) -> list[str]:
        return [path.name for path in self._root.iterdir() if path.is_dir()]

    def names(self, folder: str) -> list[str]:
        try:
            entries = list((self._root / folder).iterdir())
        except FileNotFoundError:  # nothing was put yet
            return []
        return [path.name for path in entries if path.name[0] != "." and path.is_file()]

    def delete(self, folder: str, name: str) -> None:
        (self._root / folder / name).unlink(missing_ok=True)

    def delete_folder(self, folder: str) -> None:
        path = self._root / folder
        while path.is_dir():
            # One that somebody else has removed meanwhile must not keep the others.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)

    def close(self) -> None:
        """Nothing is open."""


def _sync(folder: Path) -> None:
    """Make the entries of a folder last, as fsync does for the bytes of a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
