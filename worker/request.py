"""What a caller asked for: everything, beside the checkpoint, that determines the pixels."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from model.errors import ParameterInvalid
from model.mask import LARGEST_MASK_PX
from worker.inputs import CUSTOM_STYLES, MASK, style_names
from worker.style import Style

MAX_SEED = 2**63 - 1
MAX_TILES = 16
MPP_RANGE = (0.1, 1.0)
"""Micrometres per pixel that are accepted: from about 100x to 10x."""


@dataclass(frozen=True)
class SynthesisRequest:
    """One request for ``n`` tiles of one mask.

    mask_sha256: SHA-256 of the mask file's bytes as they were sent.
    seed: 0..2**63 - 1; tile 0 uses it as it is, see ``tile_seed``.
    mpp: micrometres per pixel of the mask and of the style image; None means the checkpoint's.
    label_components: label the connected components of a binary mask.
    mask_size: (height, width) of the image that the mask's outlines lie in, where its file does
        not say it.
    large: the mask needs more than one pass of the network. It follows from the mask, and is
        here so that whoever plans need not read that.

    Raises:
        ParameterInvalid: seed, n or mpp out of range; several tiles of a large mask.
    """

    mask_sha256: str
    style: Style
    seed: int
    n: int = 1
    mpp: float | None = None
    label_components: bool = False
    mask_size: tuple[int, int] | None = None
    large: bool = False

    kind: ClassVar[str] = "tile"
    unit: ClassVar[str] = "tiles"

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ParameterInvalid(f"seed is {self.seed}; it must lie in 0..{MAX_SEED}.")
        if not 1 <= self.n <= MAX_TILES:
            raise ParameterInvalid(f"n is {self.n}; it must lie in 1..{MAX_TILES}.")
        if self.large and self.n > 1:
            raise ParameterInvalid(
                f"n is {self.n}; of a mask above {LARGEST_MASK_PX} px a side there is one tile a "
                "request. Send several requests with other seeds."
            )
        low, high = MPP_RANGE
        if self.mpp is not None and not low <= self.mpp <= high:
            raise ParameterInvalid(
                f"mpp is {self.mpp}; it must lie in {low}..{high} micrometres per pixel."
            )

    def seeds(self) -> list[int]:
        """The seed of every tile, in order."""
        return [tile_seed(self.seed, index) for index in range(self.n)]

    @property
    def inputs(self) -> list[str]:
        """Names of its files among the artifacts of the job."""
        names = [MASK, *style_names(len(self.style.image_weights))]
        return [*names, CUSTOM_STYLES] if self.style.custom else names

    def to_json(self) -> str:
        # Without its kind, which is how versions that knew no other write and read it.
        return json.dumps({**asdict(self), "style": self.style.to_dict()}, sort_keys=True)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "SynthesisRequest":
        """From what the JSON holds."""
        size = values.get("mask_size")
        return cls(
            **{
                **values,
                "style": Style.from_dict(values["style"]),
                "mask_size": None if size is None else tuple(size),
            }
        )


def draw_seed() -> int:
    """A seed for a request that names none: 53 bits, which survive JSON readers that hold numbers
    as doubles."""
    return secrets.randbits(53)


def tile_seed(seed: int, index: int) -> int:
    """Seed of tile ``index`` of a request: ``seed`` itself for the first, then drawn from it.

    Hashing keeps the seeds of neighbouring requests apart: seed 7's second tile is not
    seed 8's first. 53 bits, as ``draw_seed``.
    """
    if index == 0:
        return seed
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11


def sha256(data: bytes) -> str:
    """Hexadecimal digest, as ``sha256sum`` prints it."""
    return hashlib.sha256(data).hexdigest()
