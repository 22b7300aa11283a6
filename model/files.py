"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from model.errors import FileUnwritable


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another path to write to, which takes the place of ``path`` at the end.

    After an error nothing of it is left, and what was at ``path`` is as it was. The folder is
    made. Another process may write the same file meanwhile: the last one wins.

    Raises FileUnwritable, as when the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file. Raises FileUnwritable."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


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
