"""NetworkConfig: every architectural choice, and the two presets.

Where the paper is silent the choice is a field here; docs/choices.md gives the reasons.
No torch: a card can be read and checked without it.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from model.errors import CheckpointMismatch
from model.layout import DIRECTION_CHANNELS

COLOUR_STATISTICS = 9
"""Length of the explicit part of a colour-keeping style vector: mean (3), covariance root (6)."""


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a generator and its style encoder.

    widths: output channels of the seven residual blocks, coarse to fine.
    upsample_after: 1-based numbers of the blocks followed by a two-fold upsampling; the last
        block works at full resolution, the one before it at half.
    start: ``style``, a learned square of feature vectors from the style (SPADE); or ``layout``,
        the layout maps averaged down to the coarsest scale: fully convolutional.
    start_side: side of that square: the training crop over ``stride``.
    branch_filters: filters of each of the two branches (direction, distance) in a SIAN block.
    stylization, instantiation: the phases of a SIAN block; the paper's ablations leave one out
        (INST, STYLE). Without instantiation there is one branch.
    encoder: ``spade``, instance-normalised convolutions on a 256 x 256 resize; or ``colour``,
        pooled moments without normalisation plus explicit colour statistics.
    style_features: learned entries of the style vector. ``style_dim`` adds the explicit ones.
    direction: the direction map, see ``model.layout.Direction``.
    modulation: ``one_plus``, h * (1 + gamma) + beta; or ``literal``, Eq. 2 as printed.
    factors: ``one_plus``, style and instance factors are 1 + linear; or ``literal``, linear.
    coarse_semantic, coarse_instance: how M, and P with Q, are brought to a coarser scale.
    upsampling: ``nearest``, as SPADE; or ``bilinear``, which leaves no pattern of period two.
    skip: ``always``, the paper's SIAN-ReLU-conv; or ``changed``, only where the width changes.
    padding: of every 3 x 3 convolution.
    noise: add scaled Gaussian noise in every block.
    nucleus_noise: one more Gaussian value for each nucleus, read beside the distance map and at
        the start (needs ``noise`` and ``instantiation``).
    colour_head: the last layer speaks in the style's own colour axes (needs ``colour``).
    """

    widths: tuple[int, ...]
    upsample_after: tuple[int, ...]
    start: Literal["style", "layout"]
    branch_filters: int
    encoder: Literal["spade", "colour"]
    style_features: int
    direction: Literal["sign", "bins"] = "sign"
    modulation: Literal["one_plus", "literal"] = "one_plus"
    factors: Literal["one_plus", "literal"] = "one_plus"
    coarse_semantic: Literal["average", "nearest"] = "average"
    coarse_instance: Literal["average", "nearest"] = "average"
    upsampling: Literal["nearest", "bilinear"] = "bilinear"
    skip: Literal["always", "changed"] = "always"
    padding: Literal["zeros", "reflect"] = "reflect"
    noise: bool = True
    colour_head: bool = True
    stylization: bool = True
    instantiation: bool = True
    start_side: int = 4
    nucleus_noise: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "upsample_after", tuple(self.upsample_after))
        for name, kind in get_type_hints(type(self)).items():
            choices = get_args(kind)
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in choices:
                raise CheckpointMismatch(
                    f"{name}={value!r}: choose one of {', '.join(map(repr, choices))}."
                )
        last = len(self.widths) - 1
        if last not in self.upsample_after or not all(1 <= b <= last for b in self.upsample_after):
            raise CheckpointMismatch(
                f"upsample_after={self.upsample_after} must name blocks from 1 to {last} and "
                f"end with {last}; correct the network section of the card."
            )
        if self.colour_head and self.encoder != "colour":
            raise CheckpointMismatch(
                "colour_head needs encoder='colour', which puts the colour statistics into the "
                "style vector; set colour_head=false or change the encoder."
            )
        if self.nucleus_noise and not (self.noise and self.instantiation):
            raise CheckpointMismatch(
                "nucleus_noise needs noise=true and instantiation=true: it is read beside the "
                "distance map. Set nucleus_noise=false or both of them true."
            )

    @property
    def stride(self) -> int:
        """Pixels of the tile per pixel of the coarsest feature map."""
        return int(2 ** len(self.upsample_after))

    @property
    def condition_channels(self) -> int:
        """Channels of the layout that the network reads, counted from the first one."""
        return 2 + (DIRECTION_CHANNELS[self.direction] + 1) * self.instantiation

    @property
    def style_dim(self) -> int:
        """Length D of a style vector."""
        explicit = COLOUR_STATISTICS if self.encoder == "colour" else 0
        return self.style_features + explicit

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as stored in a card."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NetworkConfig":
        """Raises CheckpointMismatch for unknown or missing fields."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise CheckpointMismatch(
                f"The card's network section has the unknown fields {', '.join(unknown)}; "
                "it was written by another version of this software."
            )
        values = _MEANT_WITHOUT | values
        missing = sorted(known - set(values))
        if missing:  # a default could differ from what the weights were trained with
            raise CheckpointMismatch(
                f"The card's network section lacks {', '.join(missing)}; "
                "it was written by another version of this software."
            )
        return cls(**values)


_MEANT_WITHOUT: dict[str, Any] = {
    "stylization": True,
    "instantiation": True,
    "start_side": 4,
    "nucleus_noise": False,
}
"""Fields younger than the first cards, and what a card without them means."""

PRESETS: dict[str, NetworkConfig] = {
    # The paper, literally, with SPADE's encoder and widths (ngf 64).
    "paper": NetworkConfig(
        widths=(1024, 1024, 1024, 512, 256, 128, 64),
        upsample_after=(1, 2, 3, 4, 5, 6),
        start="style",
        branch_filters=128,
        encoder="spade",
        style_features=256,
        coarse_semantic="nearest",
        upsampling="nearest",
        padding="zeros",
        noise=False,
        colour_head=False,
    ),
    # What is served: compact, any size, keeps the stain.
    "release": NetworkConfig(
        widths=(192, 192, 192, 128, 96, 64, 32),
        upsample_after=(3, 4, 5, 6),
        start="layout",
        branch_filters=32,
        encoder="colour",
        style_features=64,
        skip="changed",
    ),
}
