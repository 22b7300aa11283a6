"""Input and output files of jobs, on a folder."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Artifacts:
    """Files by (scope, name): a job's id and ``mask``, ``style``, ``0.png``, ``0.json``.

    A file is there whole or not at all. Names never reach outside the folder. Safe to use
    from several threads and processes.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass

    def put(self, scope: str, name: str, data: bytes) -> None:
        """Write, replacing what was there. What is there then outlives a power cut."""
        target = self._path(scope, name)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(self._folder)
        # Written beside the target, so that the rename stays on one file system.
        partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
            _sync(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def get(self, scope: str, name: str) -> bytes:
        """Raises FileNotFoundError if nothing of that name was put."""
        return self._path(scope, name).read_bytes()

    def exists(self, scope: str, name: str) -> bool:
        return self._path(scope, name).is_file()

    def scopes(self) -> list[str]:
        """All scopes that something was put in."""
        return [path.name for path in self._folder.iterdir() if path.is_dir()]

    def discard(self, scope: str, name: str) -> None:
        """Remove one file; nothing happens if there is none."""
        self._path(scope, name).unlink(missing_ok=True)

    def remove(self, scope: str) -> None:
        """Remove everything in a scope; nothing happens if there is nothing."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._scope(scope))

    def _path(self, scope: str, name: str) -> Path:
        return self._scope(scope) / _checked(name)

    def _scope(self, scope: str) -> Path:
        return self._folder / _checked(scope)


def _sync(folder: Path) -> None:
    """Make the entries of a folder last, as fsync does for the bytes of a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name an artifact")
    return name
