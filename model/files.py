"""Files that are written whole or not at all."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from model.errors import FileUnwritable


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another path to write to, which takes the place of ``path`` at the end.

    After an error nothing of it is left, and what was at ``path`` is as it was. The folder is
    made. Several may write the same file at a time: the last one wins. What is no file, such as
    /dev/stdout, is written to as it is.

    Raises FileUnwritable, as when the disk is full.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    if target.exists() and not target.is_file():
        with writing(path):
            yield target
        return
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            if target.exists():
                shutil.copymode(target, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file. Raises FileUnwritable."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def remove_partial(folder: Path, *, older_than_s: float = 0) -> None:
    """Delete what processes that were killed left of files half written, ``whole``'s and those of
    safetensors; not in folders below."""
    for pattern in (".*.tmp", ".tmp??????"):
        for path in folder.glob(pattern):
            # One that is gone by now has been finished by whoever wrote it.
            with writing(path), suppress(FileNotFoundError):
                if path.is_file() and time.time() - path.stat().st_mtime >= older_than_s:
                    path.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says against writing ``path`` is raised as FileUnwritable."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for it
        raise FileUnwritable(
            f"{path} cannot be written: {error}. Make room there, or give access to it, and run "
            "the same command again."
        ) from error
