"""Features on disk, so that real tiles pass a network once for all evaluations."""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from model.errors import FileUnwritable
from model.files import whole
from training.metrics.features import FeatureNetwork
from training.metrics.frechet import Features

logger = logging.getLogger(__name__)

# Part of every key: raise it when the way features are computed changes.
_REVISION = "2"


class FeatureCache:
    """Features of sets of tiles, kept by the tiles' pixels and the network's weights.

    ``folder`` is made when first needed; a file there that cannot be read is computed again.
    """

    def __init__(self, network: FeatureNetwork, folder: Path) -> None:
        self._network = network
        self._folder = folder

    @property
    def fingerprint(self) -> str:
        """Names the network, its weights, and the way features are computed."""
        return f"{_REVISION} {self._network.fingerprint}"

    def features(
        self,
        images_u8: Sequence[NDArray[np.uint8]],
        *,
        keep: bool = True,
        advance: Callable[[int], object] = lambda images: None,
    ) -> dict[int, Features]:
        """As ``network.features``, from disk if the same tiles were seen before.

        ``keep=False`` for tiles that no other evaluation will see: nothing is stored.
        """
        if not keep:
            return self._network.features(images_u8, advance=advance)
        path = self._folder / f"{self._key(images_u8)}.safetensors"
        try:
            found = {int(dims): rows for dims, rows in load_file(path).items()}
        except (OSError, SafetensorError):
            found = self._network.features(images_u8, advance=advance)
            self._store(path, found)
        else:
            advance(len(images_u8))
        return found

    def _store(self, path: Path, features: dict[int, Features]) -> None:
        try:
            with whole(path) as partial:
                save_file({str(dims): rows for dims, rows in features.items()}, partial)
        except FileUnwritable as error:  # they are at hand, and can be computed again
            logger.warning("%s", error)

    def _key(self, images_u8: Sequence[NDArray[np.uint8]]) -> str:
        digest = hashlib.sha256(self.fingerprint.encode())
        for image_u8 in images_u8:
            digest.update(str(image_u8.shape).encode())
            digest.update(image_u8.tobytes())
        return digest.hexdigest()


def default_folder() -> Path:
    """The user's cache folder: $XDG_CACHE_HOME/sian/features, by default below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sian" / "features"
