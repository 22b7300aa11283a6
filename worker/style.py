"""What a tile's style is taken from, and how a caller writes it down."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from model.errors import StyleConflict, StyleMissing, StyleWeightsInvalid

MAX_MIXED = 8
"""Reference images, or custom styles, that one request may mix: each is decoded or read."""

_WAYS = (
    "Give exactly one of: style (an image, or several with weights), organ (the name of a preset "
    "or of a custom style), or styles (a mix of those by name, as JSON weights)."
)


@dataclass(frozen=True)
class Reference:
    """The image that a custom style was encoded from.

    image_sha256: SHA-256 of its bytes as they were sent. mpp: its micrometres per pixel.
    """

    image_sha256: str
    mpp: float


@dataclass(frozen=True)
class WeightedImage:
    """One of several reference images. weight: finite, not negative; all need not sum to 1."""

    image_sha256: str
    weight: float


@dataclass(frozen=True)
class Style:
    """Where the style vector comes from: exactly one of the first four.

    name: of a preset, of which each tile takes one exemplar, chosen by the tile's seed; or of a
        custom style.
    weights: name to non-negative weight; a convex combination of presets and custom styles.
    image_sha256: SHA-256 of the style image's bytes as they were sent.
    images: several of them; a convex combination of their style vectors.
    custom: the custom styles among the names, by name, as they were when the request was accepted.

    Raises:
        StyleMissing, StyleConflict: none or more than one of the four is given.
    """

    name: str | None = None
    weights: dict[str, float] | None = None
    image_sha256: str | None = None
    images: tuple[WeightedImage, ...] | None = None
    custom: dict[str, Reference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields = {"organ": self.name, "styles": self.weights}
        given = [name for name, value in fields.items() if value is not None]
        given += ["style"] if self.image_sha256 is not None or self.images is not None else []
        if not given:
            raise StyleMissing(f"No style given. {_WAYS}")
        if len(given) > 1:
            raise StyleConflict(f"{len(given)} styles given ({', '.join(given)}). {_WAYS}")

    @classmethod
    def of(
        cls,
        *,
        name: str | None = None,
        weights: str | None = None,
        images_sha256: Sequence[str] = (),
        image_weights: str | None = None,
    ) -> "Style":
        """From what a caller gave: both kinds of weights are JSON as it was written.

        Raises:
            StyleMissing, StyleConflict, StyleWeightsInvalid
        """
        of_images = _image_weights(image_weights, len(images_sha256))
        single = images_sha256[0] if len(images_sha256) == 1 else None
        several = None
        if len(images_sha256) > 1:
            several = tuple(map(WeightedImage, images_sha256, of_images))
        return cls(
            name=name,
            weights=parse_weights(weights) if weights is not None else None,
            image_sha256=single,
            images=several,
        )

    @property
    def names(self) -> list[str]:
        """Of the presets and custom styles it is made of."""
        if self.name is not None:
            return [self.name]
        return list(self.weights or ())

    @property
    def image_weights(self) -> list[float]:
        """Of the style images in the order in which they were sent."""
        if self.images is not None:
            return [image.weight for image in self.images]
        return [1.0] if self.image_sha256 is not None else []

    def to_dict(self) -> dict[str, Any]:
        """Only the parts that are set, by the names they have in requests and manifests."""
        values = {
            "organ" if name == "name" else name: value for name, value in asdict(self).items()
        }
        return {name: value for name, value in values.items() if value is not None and value != {}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Style":
        """The inverse of ``to_dict``."""
        images = values.get("images")
        return cls(
            name=values.get("organ"),
            weights=values.get("weights"),
            image_sha256=values.get("image_sha256"),
            images=None if images is None else tuple(WeightedImage(**image) for image in images),
            custom={
                name: Reference(**reference) for name, reference in values.get("custom", {}).items()
            },
        )


def parse_weights(text: str) -> dict[str, float]:
    """Read a mix such as ``{"kidney": 0.7, "liver": 0.3}``.

    Raises:
        StyleWeightsInvalid: not a JSON object of finite numbers, or a name twice. Whether the
            styles exist and the weights can be mixed is for ``StyleBank.mix`` to say.
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
    for name, weight in weights.items():
        _check_finite(f"The weight of {name!r}", weight, example)
    return weights


def _image_weights(text: str | None, count: int) -> list[float]:
    """A weight for each style image. Several need weights, so that a field that was sent twice by
    mistake does not pass for a mix.

    Raises:
        StyleConflict: too many images, or several without weights.
        StyleWeightsInvalid: not a JSON list of that many finite numbers, negative or all 0.
    """
    example = f"Send as many as style images, such as {_example(max(count, 2))}."
    if count > MAX_MIXED:
        raise StyleConflict(f"{count} style images were sent; at most {MAX_MIXED} can be mixed.")
    if text is None:
        if count > 1:
            raise StyleConflict(
                f"{count} style images were sent; send exactly one, or to mix them also weights, "
                f"a JSON list such as {_example(count)}."
            )
        return [1.0] * count
    try:
        weights = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        raise StyleWeightsInvalid(f"The field weights is not JSON. {example}") from None
    if not isinstance(weights, list):
        raise StyleWeightsInvalid(f"The field weights is not a JSON list. {example}")
    if len(weights) != count:
        raise StyleWeightsInvalid(
            f"There are {len(weights)} weights and {count} style images. {example}"
        )
    for place, weight in enumerate(weights, start=1):
        _check_finite(f"Weight {place} of the style images", weight, example)
        if weight < 0:
            raise StyleWeightsInvalid(
                f"Weight {place} of the style images is {weight}; weights must not be negative."
            )
    if not any(weights):
        raise StyleWeightsInvalid("All weights of the style images are 0; make one positive.")
    return weights


def _check_finite(what: str, weight: Any, example: str) -> None:
    if not isinstance(weight, float) or not math.isfinite(weight):
        raise StyleWeightsInvalid(f"{what} is {weight!r}, not a finite number. {example}")


def _example(count: int) -> str:
    return json.dumps([round(1 / count, 2)] * count)
