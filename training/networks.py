"""The networks a method trains: one description each, and what is made from it."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from model.config import NetworkConfig
from model.encoder import SpadeEncoder, StyleEncoder, build_encoder
from model.errors import ParameterInvalid
from model.generator import Generator
from model.layout import Direction
from training.baselines.pix2pix import UNet, UNetConfig
from training.baselines.pix2pixhd import GlobalConfig, GlobalGenerator, GlobalShape
from training.baselines.sharp_gan import SharpGanConfig
from training.baselines.spade import SpadeConfig, SpadeGenerator
from training.conditions import Condition

AnyGenerator = Generator | UNet | GlobalGenerator | SpadeGenerator
"""Called with (condition, style, noise); ``noise_shapes`` tells what noise it takes."""

Network = NetworkConfig | UNetConfig | GlobalConfig | SharpGanConfig | SpadeConfig

_KINDS: dict[str, type[Any]] = {
    "sian": NetworkConfig,
    "unet": UNetConfig,
    "global": GlobalConfig,
    "sharp_gan": SharpGanConfig,
    "spade": SpadeConfig,
}

FULL_WIDTH = 64
"""The width of every network in its paper; what ``fitted`` counts in."""


class NoEncoder(StyleEncoder):
    """Of a method without a style: every image has the style vector of length 0."""

    def forward(self, image_pm1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nothing = image_pm1.new_empty(image_pm1.shape[0], 0)
        return nothing, nothing, nothing


def build(network: Network) -> tuple[AnyGenerator, StyleEncoder]:
    """A generator and its style encoder, with new weights from torch's global generator."""
    match network:
        case NetworkConfig():
            return Generator(network), build_encoder(network)
        case SpadeConfig():
            return SpadeGenerator(network), SpadeEncoder(network.style_features)
        case UNetConfig():
            return UNet(network), NoEncoder()
        case GlobalConfig() | SharpGanConfig():
            return GlobalGenerator(network), NoEncoder()


def condition_of(network: Network) -> Condition:
    """What the generator is shown of an instance mask."""
    return "layout" if isinstance(network, NetworkConfig) else network.condition


def direction_of(network: Network) -> Direction:
    """The direction map in its condition, where it has one."""
    return network.direction if isinstance(network, NetworkConfig) else "sign"


def takes_nuclei(network: Network) -> bool:
    """Whether it takes noise per nucleus."""
    return isinstance(network, NetworkConfig) and network.nucleus_noise


def smallest_px(network: Network) -> int:
    """Side of the smallest tile it can draw: reflection needs two pixels at the coarsest scale."""
    return network.stride * (2 if isinstance(network, NetworkConfig | GlobalShape) else 1)


def fitted(network: Network, width: int, crop_px: int) -> Network:
    """The network with ``width`` filters where its paper has 64, for crops of another size.

    Raises:
        ParameterInvalid: no eighth of the filters is a whole number.
    """
    if width < 8 or width % 8:
        raise ParameterInvalid(f"The width is {width}; it must be a multiple of 8. Change --width.")
    start_side = max(1, crop_px // network.stride)
    if isinstance(network, NetworkConfig):
        return replace(
            network,
            widths=tuple(each * width // FULL_WIDTH for each in network.widths),
            branch_filters=network.branch_filters * width // FULL_WIDTH,
            start_side=start_side if network.start == "style" else network.start_side,
        )
    if isinstance(network, SpadeConfig):
        hidden = network.hidden * width // FULL_WIDTH
        return replace(network, width=width, hidden=hidden, start_side=start_side)
    if isinstance(network, UNetConfig):
        return replace(network, width=width, depth=min(network.depth, crop_px.bit_length() - 1))
    return replace(network, width=width)


def network_to_dict(network: Network) -> dict[str, Any]:
    """JSON-ready, with the ``kind`` of network."""
    kind = next(name for name, config in _KINDS.items() if isinstance(network, config))
    return {"kind": kind, **network.to_dict()}


def network_from_dict(values: dict[str, Any]) -> Network:
    """Raises CheckpointMismatch for what no network here describes."""
    values = dict(values)
    kind = values.pop("kind", "sian")
    network: Network = _KINDS[kind].from_dict(values)
    return network
