"""Numbered pictures in a folder, each of a known origin: synthetic tiles and random masks."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.files import whole, write_whole
from training.digest import digest

_ORIGINS_NAME = "origins.json"


class Pictures:
    """FOLDER/00000.png and so on; picture k was, or is to be, made from ``origins[k]``, a digest.

    Pictures of another origin than the one asked for are deleted, so that they are made anew;
    those in a folder that does not tell their origins are too. ``title`` is for progress bars.
    """

    def __init__(self, folder: Path, origins: Sequence[str], title: str = "") -> None:
        self.folder, self.origins, self.title = folder, list(origins), title
        note = folder / _ORIGINS_NAME
        stored = json.loads(note.read_text("utf-8")) if note.is_file() else []
        kept = self.origins + stored[len(self.origins) :]  # a larger set loses nothing
        if stored == kept:
            return
        for path in folder.glob("[0-9][0-9][0-9][0-9][0-9].png"):
            k = int(path.stem)
            if k >= len(stored) or stored[k] != kept[k]:
                path.unlink()
        write_whole(note, json.dumps(kept) + "\n")

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def identity(self) -> str:
        """The same for sets that are pixel for pixel the same."""
        return digest(self.origins)

    @cached_property
    def images(self) -> list[NDArray[Any]]:
        """All of them, once they are made."""
        return [self.read(k) for k in range(len(self))]

    def has(self, k: int) -> bool:
        return self._path(k).is_file()

    def read(self, k: int) -> NDArray[Any]:
        """(H, W, 3) uint8, or (H, W) uint16 for labels."""
        with Image.open(self._path(k)) as picture:
            return np.asarray(picture)

    def keep(self, k: int, picture: NDArray[Any]) -> None:
        """Write a picture. uint8 (H, W, 3) or uint16 (H, W). Raises FileUnwritable."""
        with whole(self._path(k)) as partial:
            # Fast to write: drawing a tile on a GPU takes less than to compress it well.
            Image.fromarray(picture).save(partial, format="PNG", compress_level=1)

    def _path(self, k: int) -> Path:
        return self.folder / f"{k:05d}.png"
