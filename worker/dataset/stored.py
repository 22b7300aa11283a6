"""The finished tiles of a dataset among the artifacts, and its bundle as a ZIP."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from functools import lru_cache

from zipstream import ZipStream

from worker.artifacts import Artifacts
from worker.dataset.bundle import Summary, members
from worker.dataset.part import DatasetPart, part_id
from worker.dataset.tile import PROVENANCE, DatasetTile, stem

SUFFIX = ".zip"
"""Of the file with a tile: ``<number>.zip`` among the artifacts of its part's job."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a ZIP can name: the same tile is the same file."""
_CACHED_TILES = 2


def packed(tile: DatasetTile) -> bytes:
    """A tile's files as one, so that they are there together or not at all."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, data in tile.files.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), data, _compression(path))
    return stream.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files of a tile by their path in the bundle, in order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class StoredDataset:
    """The tiles of a dataset whose parts have all been made."""

    def __init__(self, artifacts: Artifacts, parts: Sequence[DatasetPart]) -> None:
        self._artifacts, self._parts = artifacts, parts
        self.request = parts[0].dataset
        self._places = [
            (part_id(part.dataset_id, part.part), index)
            for part in parts
            for index in range(part.n)
        ]
        self._files = lru_cache(_CACHED_TILES)(self._tile)

    def bundle(self) -> Iterator[bytes]:
        """The ZIP, a piece at a time: the tiles one by one, then what they share.

        Raises FileNotFoundError if a tile is gone, StorageUnavailable; at any time.
        """
        archive, summary = ZipStream(sized=False), Summary()
        for k in range(self.request.count):
            files = self._tile(k)
            for path, data in files.items():
                archive.add(data, path, compress_type=_compression(path))
            summary.add(k, files[f"{PROVENANCE}/{stem(k)}.json"])
            yield from archive.all_files()
        for path, chunks in members(self.request, self._read, summary):
            archive.add(chunks, path, compress_type=_compression(path))
            yield from archive.all_files()
        yield from archive.finalize()

    def _read(self, path: str) -> bytes:
        """A file of a tile by its path in the bundle, which names its number."""
        return self._files(int(path.rpartition("/")[2].partition(".")[0]))[path]

    def _tile(self, k: int) -> dict[str, bytes]:
        scope, index = self._places[k]
        return unpacked(self._artifacts.get(scope, f"{index}{SUFFIX}"))


def _compression(path: str) -> int:
    return zipfile.ZIP_STORED if path.endswith(".png") else zipfile.ZIP_DEFLATED
