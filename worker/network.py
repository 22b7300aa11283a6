"""The network as a device: what a ``Batcher`` drives. Imports torch when it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.synthesizer import Synthesizer

STYLE = "style"
"""Key of style images that are to be encoded. Tiles have their padded shape as key."""


class Network:
    """A ``Device`` that paints tiles and encodes styles; ``Synthesizer`` knows how many at once.

    load: returns the Synthesizer.
    """

    def __init__(self, load: Callable[[], Synthesizer]) -> None:
        self._load = load
        self._synthesizer: Synthesizer | None = None

    def open(self) -> Synthesizer:
        """Load it, in the thread that computes. Raises what loading raises."""
        self._synthesizer = self._load()
        return self._synthesizer

    @property
    def synthesizer(self) -> Synthesizer:
        if self._synthesizer is None:
            raise RuntimeError("the network is not loaded yet")
        return self._synthesizer

    def batch_size(self, key: Hashable) -> int:
        return self.synthesizer.batch_size(key) if isinstance(key, tuple) else 1

    def at_once(self, key: Hashable) -> int:
        return self.synthesizer.at_once(key) if isinstance(key, tuple) else 1

    def compute(self, key: Hashable, payloads: Sequence[Any], *, at_once: int) -> list[Any]:
        """Images (H, W, 3) uint8 of ``TileInput``; style vectors (D,) of ``StyleInput``."""
        if key == STYLE:
            return [self.synthesizer.encode(payload) for payload in payloads]
        return list(self.synthesizer.paint(payloads, at_once=at_once))

    def release_memory(self) -> None:
        from model.device import release_memory

        release_memory()

    def is_out_of_memory(self, error: Exception) -> bool:
        from model.device import is_out_of_memory

        return is_out_of_memory(error)

    def is_lost(self, error: Exception) -> bool:
        from model.device import is_lost

        return is_lost(error)
