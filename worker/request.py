"""What a caller asked for: everything, beside the checkpoint, that determines the pixels."""

import hashlib
import json
import math
import secrets
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from model.errors import ParameterInvalid, StyleConflict, StyleMissing, StyleWeightsInvalid
from model.tile import LARGEST_MASK_PX

MAX_SEED = 2**63 - 1
MAX_TILES = 16
MPP_RANGE = (0.1, 1.0)
"""Micrometres per pixel that are accepted: from about 100x to 10x."""


@dataclass(frozen=True)
class Style:
    """Where the style vector comes from: exactly one of the three.

    organ: name of a preset; each tile takes one of its exemplars, chosen by the tile's seed.
    weights: organ to non-negative weight; a convex combination of presets.
    image_sha256: SHA-256 of the style image's bytes as they were sent.

    Raises:
        StyleMissing, StyleConflict: none or more than one of them is given.
    """

    organ: str | None = None
    weights: dict[str, float] | None = None
    image_sha256: str | None = None

    def __post_init__(self) -> None:
        names = {"organ": "organ", "weights": "styles", "image_sha256": "style"}
        given = [names[name] for name, value in asdict(self).items() if value is not None]
        if not given:
            raise StyleMissing(
                "No style given. Give exactly one of: style (an image), organ (a preset), or "
                "styles (a mix of presets as JSON weights)."
            )
        if len(given) > 1:
            raise StyleConflict(
                f"{len(given)} styles given ({', '.join(given)}). Give exactly one of: "
                "style (an image), organ (a preset), or styles (a mix of presets)."
            )

    def to_dict(self) -> dict[str, Any]:
        """Only the part that is set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


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

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "SynthesisRequest":
        values = json.loads(text)
        size = values.get("mask_size")
        return cls(
            **{
                **values,
                "style": Style(**values["style"]),
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


def parse_weights(text: str) -> dict[str, float]:
    """Read a mix such as ``{"kidney": 0.7, "liver": 0.3}``.

    Raises:
        StyleWeightsInvalid: not a JSON object of finite numbers, or an organ twice. Whether the
            organs exist and the weights can be mixed is for ``StyleBank.mix`` to say.
    """
    example = 'Send a JSON object such as {"kidney": 0.7, "liver": 0.3}.'

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Left alone, json takes the last of equal names and drops the others without a word.
        values = dict(pairs)
        if len(values) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            raise StyleWeightsInvalid(
                f"The style weights name {counts.most_common(1)[0][0]!r} more than once. {example}"
            )
        return values

    try:
        # parse_int: an integer of a thousand digits becomes infinity instead of an exception.
        weights = json.loads(text, parse_int=float, object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        raise StyleWeightsInvalid(f"The style weights are not JSON. {example}") from None
    if not isinstance(weights, dict):
        raise StyleWeightsInvalid(f"The style weights are not a JSON object. {example}")
    for organ, weight in weights.items():
        if not isinstance(weight, float) or not math.isfinite(weight):
            raise StyleWeightsInvalid(
                f"The weight of {organ!r} is {weight!r}, not a finite number. {example}"
            )
    return weights


def sha256(data: bytes) -> str:
    """Hexadecimal digest, as ``sha256sum`` prints it."""
    return hashlib.sha256(data).hexdigest()
