"""Input and output files of jobs: in a folder, or in S3 for several machines."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from model.errors import SettingsInvalid, StorageUnavailable
from worker.disk_files import DiskFiles

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RETRY_AFTER_S = 10
_PIECE_BYTES = 4 * 2**20

logger = logging.getLogger(__name__)


class Files(Protocol):
    """Files in folders, one level deep. Methods raise what their medium raises, and
    FileNotFoundError from ``read``, ``read_part`` and ``size`` for a file that is not there."""

    def write(self, folder: str, name: str, data: bytes) -> None: ...
    def create(self, folder: str, name: str, data: bytes) -> bool: ...
    def read(self, folder: str, name: str) -> bytes: ...
    def read_part(self, folder: str, name: str, first: int, stop: int) -> bytes: ...
    def size(self, folder: str, name: str) -> int: ...
    def exists(self, folder: str, name: str) -> bool: ...
    def folders(self) -> list[str]: ...
    def names(self, folder: str) -> list[str]: ...
    def delete(self, folder: str, name: str) -> None: ...
    def delete_folder(self, folder: str) -> None: ...
    def close(self) -> None: ...


class Artifacts:
    """Files by (scope, name): a job's id and ``mask``, ``style``, ``0.png``, ``0.json``.

    A file is there whole or not at all. Names never reach outside the place. Safe to use from
    several threads and processes. Where the medium fails, a full disk or an S3 that does not
    answer, methods raise StorageUnavailable.

    url: a folder, or s3://bucket/prefix. The standard AWS_* variables hold for S3; of those
        AWS_ENDPOINT_URL names another server than Amazon's.

    Raises:
        SettingsInvalid: the place cannot be written, and will not be unless somebody acts.
        StorageUnavailable: S3 does not answer.
    """

    def __init__(self, url: str | Path) -> None:
        self._files = _open(url)

    def close(self) -> None:
        """Close what connections there are."""
        self._files.close()

    def put(self, scope: str, name: str, data: bytes) -> None:
        """Write, replacing what was there. What is there then outlives a power cut."""
        _check(scope, name)
        with _mapped():
            self._files.write(scope, name, data)

    def create(self, scope: str, name: str, data: bytes) -> bool:
        """Write a file that is not there; False if one of that name is. Of several who try at the
        same time one succeeds."""
        _check(scope, name)
        with _mapped():
            return self._files.create(scope, name, data)

    def get(self, scope: str, name: str) -> bytes:
        """Raises FileNotFoundError if nothing of that name was put."""
        _check(scope, name)
        with _mapped(FileNotFoundError):
            return self._files.read(scope, name)

    def size(self, scope: str, name: str) -> int:
        """Bytes of a file. Raises as ``get``."""
        _check(scope, name)
        with _mapped(FileNotFoundError):
            return self._files.size(scope, name)

    def pieces(self, scope: str, name: str, part: slice) -> Iterator[bytes]:
        """The bytes from ``part.start`` up to ``part.stop`` of a file, a few MiB at a time. Raises
        as ``get``, at any time."""
        _check(scope, name)
        for first in range(part.start, part.stop, _PIECE_BYTES):
            with _mapped(FileNotFoundError):
                piece = self._files.read_part(
                    scope, name, first, min(first + _PIECE_BYTES, part.stop)
                )
            yield piece

    def exists(self, scope: str, name: str) -> bool:
        _check(scope, name)
        with _mapped():
            return self._files.exists(scope, name)

    def scopes(self) -> list[str]:
        """All scopes that something was put in."""
        with _mapped():
            return self._files.folders()

    def names(self, scope: str) -> list[str]:
        """Of all files in a scope."""
        _check(scope)
        with _mapped():
            return self._files.names(scope)

    def discard(self, scope: str, name: str) -> None:
        """Remove one file; nothing happens if there is none."""
        _check(scope, name)
        with _mapped():
            self._files.delete(scope, name)

    def remove(self, scope: str) -> None:
        """Remove everything in a scope; nothing happens if there is nothing."""
        _check(scope)
        with _mapped():
            self._files.delete_folder(scope)


def _open(url: str | Path) -> Files:
    protocol, separator, rest = str(url).partition("://")
    if not separator:
        return DiskFiles(Path(url))
    if protocol == "file":
        return DiskFiles(Path(rest))
    if protocol == "s3":
        from worker.s3_files import S3Files  # whose imports take a second

        return S3Files(rest)
    raise SettingsInvalid(
        f"SIAN_ARTIFACTS_URL={url}: {protocol} is no place for files. Name a folder or "
        "s3://bucket/prefix."
    )


@contextmanager
def _mapped(*expected: type[Exception]) -> Iterator[None]:
    """What is not expected becomes StorageUnavailable, whatever it is: the errors of S3 come
    from half a dozen libraries that have no base class in common. Clients are shown it, so it is
    the log that has the cause, with paths and addresses."""
    try:
        yield
    except expected:
        raise
    except Exception as error:
        logger.warning("files of jobs cannot be read or written: %s", str(error) or repr(error))
        raise StorageUnavailable(
            "The files of jobs cannot be read or written; try again in a moment.",
            retry_after_s=_RETRY_AFTER_S,
        ) from error


def _check(*names: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name an artifact")
