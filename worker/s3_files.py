"""Files in S3, or in a server that speaks like it, through fsspec."""

import asyncio
import contextlib
import re
import secrets
from typing import Any

import fsspec
from fsspec.asyn import sync

from model.errors import SettingsInvalid, StorageUnavailable

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
_CONNECT_S = 3
_READ_S = 10
_ATTEMPTS = 2
_GIVE_UP_S = 25
"""Over all attempts. The two limits above do not hold while a name is looked up, or while a
server is asked whether it wants what is to be put."""
_SLOWEST_BYTES_PER_S = 2e6
"""What is to be put has as much more time as it takes at this rate."""
_RETRY_AFTER_S = 10


class S3Files:
    """``worker.artifacts.Files`` in a bucket. An object appears when it is whole.

    place: bucket/prefix, of a bucket that exists.

    Raises:
        SettingsInvalid: the bucket cannot be written.
        StorageUnavailable: no answer.
    """

    def __init__(self, place: str) -> None:
        self._root = place.rstrip("/")
        if not _BUCKET.fullmatch(self._root.partition("/")[0]):
            raise SettingsInvalid(
                f"SIAN_ARTIFACTS_URL=s3://{place}: this names no bucket; s3://bucket/prefix does."
            )
        self._fs = _file_system(f"s3://{place}")
        try:
            self._probe(f"s3://{place}")
        except BaseException:
            self.close()
            raise

    def write(self, folder: str, name: str, data: bytes) -> None:
        give_up_s = _GIVE_UP_S + len(data) / _SLOWEST_BYTES_PER_S
        self._call("pipe_file", f"{self._root}/{folder}/{name}", data, give_up_s=give_up_s)

    def create(self, folder: str, name: str, data: bytes) -> bool:
        path = f"{self._root}/{folder}/{name}"
        # Asked first, since a server that knows no conditional writes takes every one.
        if self._call("exists", path):
            return False
        give_up_s = _GIVE_UP_S + len(data) / _SLOWEST_BYTES_PER_S
        try:
            self._call("pipe_file", path, data, mode="create", give_up_s=give_up_s)
        except FileExistsError:
            return False
        return True

    def read(self, folder: str, name: str) -> bytes:
        data: bytes = self._call("cat_file", f"{self._root}/{folder}/{name}")
        return data

    def read_part(self, folder: str, name: str, first: int, stop: int) -> bytes:
        data: bytes = self._call("cat_file", f"{self._root}/{folder}/{name}", start=first, end=stop)
        return data

    def size(self, folder: str, name: str) -> int:
        return int(self._call("info", f"{self._root}/{folder}/{name}")["size"])

    def exists(self, folder: str, name: str) -> bool:
        return bool(self._call("exists", f"{self._root}/{folder}/{name}"))

    def folders(self) -> list[str]:
        try:
            entries = self._call("ls", self._root, detail=True)
        except FileNotFoundError:  # nothing was put yet
            return []
        return [entry["name"].rpartition("/")[2] for entry in entries if _is_folder(entry)]

    def names(self, folder: str) -> list[str]:
        try:
            entries = self._call("ls", f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:  # nothing was put yet
            return []
        return [entry["name"].rpartition("/")[2] for entry in entries if not _is_folder(entry)]

    def delete(self, folder: str, name: str) -> None:
        self._call("rm_file", f"{self._root}/{folder}/{name}")

    def delete_folder(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._call("rm", f"{self._root}/{folder}", recursive=True)

    def close(self) -> None:
        # Without this the connections are closed when the object is collected, or never.
        creator = getattr(self._fs, "_s3creator", None)
        if creator is not None:
            self._fs.close_session(self._fs.loop, creator)

    def _call(
        self, name: str, *args: object, give_up_s: float = _GIVE_UP_S, **options: object
    ) -> Any:
        """Call a method of the file system, which lives on an event loop of its own."""

        async def call() -> Any:
            async with asyncio.timeout(give_up_s):
                return await getattr(self._fs, f"_{name}")(*args, **options)

        try:
            return sync(self._fs.loop, call)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {give_up_s:.0f} s") from error

    def _probe(self, url: str) -> None:
        """Write and remove an object, to see now what would fail with the first request."""
        probe = f"{self._root}/probe-{secrets.token_hex(8)}"
        try:
            self._call("pipe_file", probe, b"")
            self._call("rm_file", probe)
        except Exception as error:
            what = " ".join(str(error).split())
            if _needs_a_hand(error):
                raise SettingsInvalid(
                    f"SIAN_ARTIFACTS_URL={url}: the bucket cannot be written ({what}). Create "
                    "it, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of somebody who "
                    "may list, read, write and delete in it."
                ) from None
            raise StorageUnavailable(
                f"SIAN_ARTIFACTS_URL={url}: S3 does not answer as it should ({what}). Check "
                "the network and AWS_ENDPOINT_URL, and try again.",
                retry_after_s=_RETRY_AFTER_S,
            ) from error


def _file_system(url: str) -> Any:
    try:
        fs = fsspec.filesystem(
            "s3",
            skip_instance_cache=True,
            use_listings_cache=False,
            max_concurrency=1,  # with more, every read asks for the size first
            config_kwargs={
                "connect_timeout": _CONNECT_S,
                "read_timeout": _READ_S,
                "retries": {"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                # Many servers know no other checksums than the signature's.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
        )
    except ImportError:
        raise SettingsInvalid(
            f"SIAN_ARTIFACTS_URL={url}: S3 needs a package that is not installed. In the "
            "repository, run: .venv/bin/pip install --constraint constraints.txt --editable "
            "'.[engine,s3]'"
        ) from None
    fs.retries = 1  # s3fs would try each of the attempts five times
    return fs


def _needs_a_hand(error: Exception) -> bool:
    """Whether trying again cannot help: no such bucket, no permission, no credentials."""
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError

    return isinstance(
        error,
        FileNotFoundError | PermissionError | NoCredentialsError | PartialCredentialsError,
    )


def _is_folder(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "directory")
