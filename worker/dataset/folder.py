"""A dataset in a folder, made by this process alone, and taken up again where it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import ParameterInvalid
from model.files import remove_partial, whole, writing
from worker.dataset.bundle import Summary, members
from worker.dataset.request import DatasetRequest
from worker.dataset.tile import PROVENANCE, DatasetTile, paint, stem

if TYPE_CHECKING:
    from model.synthesizer import Synthesizer  # imports torch

_NOTE = ".dataset.json"


def request_in(path: Path) -> DatasetRequest | None:
    """What the dataset in a folder was made from, finished or not; None if there is none."""
    try:
        text = (path / _NOTE).read_text("utf-8")
    except OSError:
        return None
    return DatasetRequest.from_json(json.loads(text)["request"])


class DatasetFolder:
    """The files of a bundle, each written whole or not at all.

    A tile is finished when its provenance is there, which is written last.

    checkpoint_sha256: of the network that paints it.

    Raises:
        ParameterInvalid: the folder holds another dataset, one of another checkpoint, or other
            files.
        FileUnwritable: the folder cannot be written.
    """

    def __init__(self, path: Path, request: DatasetRequest, *, checkpoint_sha256: str) -> None:
        self.path, self.request = path, request
        note = json.dumps({"request": request.to_json(), "checkpoint_sha256": checkpoint_sha256})
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            if not (path / _NOTE).is_file():
                if any(path.iterdir()):
                    raise ParameterInvalid(
                        f"{path} holds other files; name a folder that is empty or not there yet."
                    )
                self._write(_NOTE, note.encode())
            elif (path / _NOTE).read_text("utf-8") != note:
                raise ParameterInvalid(
                    f"{path} holds another dataset, or that of another checkpoint. Ask for the "
                    "same to go on with it, or name another folder."
                )

    def make(self, synthesizer: Synthesizer, advance: Callable[[int], object]) -> None:
        """Paint what is missing, then write what all tiles share.

        advance: told how many tiles are there, now and after every one.

        Raises:
            FileUnwritable: as when the disk is full; what is there stays, and is gone on from.
            ParameterInvalid: a file of a tile that was made before is gone.
        """
        self.request.check_styles(synthesizer.styles)
        for folder in (self.path, *(path for path in self.path.iterdir() if path.is_dir())):
            remove_partial(folder)
        missing = [k for k in range(self.request.count) if not self._has(k)]
        done = self.request.count - len(missing)
        advance(done)
        shape = synthesizer.padded_shape((self.request.height, self.request.width))
        step = synthesizer.at_once(shape)
        for first in range(0, len(missing), step):
            for tile in paint(synthesizer, self.request, missing[first : first + step]):
                self._keep(tile)
                done += 1
                advance(done)
        summary = Summary()
        for k in range(self.request.count):
            summary.add(k, self._read(f"{PROVENANCE}/{stem(k)}.json"))
        for name, chunks in members(self.request, self._read, summary):
            self._write_all(name, chunks)

    def _has(self, k: int) -> bool:
        return (self.path / PROVENANCE / f"{stem(k)}.json").is_file()

    def _keep(self, tile: DatasetTile) -> None:
        for name, data in tile.files.items():
            self._write(name, data)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            tile = Path(name).stem
            raise ParameterInvalid(
                f"{self.path / name} cannot be read: {error.strerror}. Delete "
                f"{self.path / PROVENANCE / tile}.json, and the same command makes the tile again."
            ) from None

    def _write(self, name: str, data: bytes) -> None:
        self._write_all(name, iter([data]))

    def _write_all(self, name: str, chunks: Iterator[bytes]) -> None:
        with whole(self.path / name) as partial, partial.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())  # the provenance is not to outlive what it speaks of
