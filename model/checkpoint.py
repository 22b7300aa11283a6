"""Checkpoints: NAME.safetensors (weights and preset styles) beside NAME.json (the card).

Loading runs no code from the file and substitutes no default: a checkpoint is served as its
card describes it, or not at all. Reading and verifying a card needs no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from model.config import NetworkConfig
from model.errors import (
    CheckpointHash,
    CheckpointMismatch,
    CheckpointMissing,
    CheckpointTruncated,
    CheckpointVersion,
    NonFiniteLoss,
)
from model.files import whole
from model.styles import STYLE_PREFIX

if TYPE_CHECKING:
    from torch import Tensor

    from model.encoder import StyleEncoder
    from model.generator import Generator

FORMAT_VERSION = 1

BATCH_STATISTICS = ("running_mean", "running_var")
"""How the names of tensors end that are stored as float32: they may lie beyond float16."""


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of itself.

    network: the fields of ``NetworkConfig``. styles: per organ, where each exemplar comes
    from. training: configuration and length of the run. mpp: micrometres per pixel.
    raw: the whole card as parsed.
    """

    name: str
    format_version: int
    network: dict[str, Any]
    style_dim: int
    sha256: str
    mpp: float
    styles: dict[str, list[dict[str, Any]]]
    training: dict[str, Any]
    licence: str
    code_version: str
    raw: dict[str, Any]

    @property
    def config(self) -> NetworkConfig:
        return NetworkConfig.from_dict(self.network)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "format_version": int,
    "network": dict,
    "style_dim": int,
    "sha256": str,
    "mpp": (int, float),
    "styles": dict,
    "training": dict,
    "licence": str,
    "code_version": str,
}
"""The fields of a card, and what JSON has there."""


def read_card(checkpoint: Path) -> Card:
    """The card beside ``checkpoint`` (the path of the ``.safetensors``).

    Raises:
        CheckpointMissing: no such file, or no card beside it.
        CheckpointTruncated: the card is not whole.
        CheckpointVersion: written by another version of this software.
    """
    card_path = checkpoint.with_suffix(".json")
    for path in (checkpoint, card_path):
        if not path.is_file():
            raise CheckpointMissing(
                f"There is no checkpoint file {path}. A checkpoint is a pair NAME.safetensors and "
                "NAME.json; set SIAN_CHECKPOINT (or --checkpoint) to the .safetensors of one."
            )
    try:
        raw = json.loads(card_path.read_text("utf-8"))
        version = raw["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointTruncated(
            f"The card {card_path} is damaged ({error!r}). Restore it from its source."
        ) from None
    if version != FORMAT_VERSION:
        raise CheckpointVersion(
            f"The checkpoint {checkpoint} has format version {version}; this software reads "
            f"version {FORMAT_VERSION}. Export it again with a matching version."
        )
    wrong = [name for name, kind in _KINDS.items() if not isinstance(raw.get(name), kind)]
    if wrong or not all(isinstance(places, list) for places in raw["styles"].values()):
        raise CheckpointTruncated(
            f"The card {card_path} lacks {wrong[0] if wrong else 'the places of styles'}, or it is "
            "of another kind there. Restore it from its source."
        )
    return Card(**{name: raw[name] for name in _KINDS}, raw=raw)


def verify(checkpoint: Path) -> Card:
    """Read the card and check the weights against it.

    Raises:
        CheckpointTruncated: the weights are cut short or no safetensors file.
        CheckpointHash: they are not the ones the card describes.
        CheckpointMismatch: network or presets are not those stored with the weights.
        CheckpointMissing, CheckpointVersion: as ``read_card``.
    """
    card = read_card(checkpoint)
    try:
        with safe_open(checkpoint, "numpy") as file:
            network = json.loads((file.metadata() or {}).get("network", "null"))
            presets = {
                name.removeprefix(STYLE_PREFIX): file.get_slice(name).get_shape()
                for name in file.keys()  # noqa: SIM118 (not a mapping)
                if name.startswith(STYLE_PREFIX)
            }
    except SafetensorError as error:
        raise CheckpointTruncated(
            f"The checkpoint {checkpoint} is cut short or damaged ({error}). "
            "Restore it from its source."
        ) from None
    digest = sha256_of(checkpoint)
    if digest != card.sha256:
        raise CheckpointHash(
            f"The checkpoint {checkpoint} has SHA-256 {digest[:12]}..., its card says "
            f"{card.sha256[:12]}.... Restore the pair from one source."
        )
    described = {organ: [len(places), card.style_dim] for organ, places in card.styles.items()}
    if card.network != network or presets != described or card.style_dim != card.config.style_dim:
        raise CheckpointMismatch(
            f"The card of {checkpoint} describes another network or other presets than the file "
            "holds; it has been edited. Restore the pair from one source."
        )
    return card


def load_networks(checkpoint: Path, device: str) -> "tuple[Generator, StyleEncoder, Card]":
    """Verify a checkpoint and build its networks, float32, in evaluation mode, on ``device``.

    Raises:
        CheckpointMismatch: the weights do not fit the network the card describes.
        Others as ``verify``.
    """
    from safetensors.torch import load_file

    from model.encoder import build_encoder
    from model.generator import Generator
    from model.pixels import place

    card = verify(checkpoint)
    tensors = load_file(checkpoint)
    generator, encoder = Generator(card.config), build_encoder(card.config)
    for name, network in (("generator", generator), ("encoder", encoder)):
        prefix = f"{name}."
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        # Counts batches during training; means nothing here and is not stored.
        state |= {
            k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")
        }
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointMismatch(
                f"The weights in {checkpoint} do not fit the {name} its card describes: "
                f"{str(error).splitlines()[1].strip()}"
            ) from None
        place(network.eval().requires_grad_(False), device)
    return generator, encoder, card


def save_checkpoint(
    checkpoint: Path,
    generator: "Generator",
    encoder: "StyleEncoder",
    styles: Mapping[str, NDArray[np.float32]],
    card: Mapping[str, Any],
) -> Card:
    """Write the pair; weights as float16, batch norm statistics and styles as float32.

    ``card`` gives name, licence, mpp, styles (provenance), training and code_version; format
    version, network, style_dim and sha256 are filled in here. An error while they are written
    leaves the pair that was there before.

    Raises:
        FileUnwritable, NonFiniteLoss
    """
    import torch
    from safetensors.torch import save_file

    tensors = {f"{STYLE_PREFIX}{organ}": torch.from_numpy(v) for organ, v in styles.items()}
    for prefix, network in (("generator", generator), ("encoder", encoder)):
        for key, value in network.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                tensors[f"{prefix}.{key}"] = as_stored(key, value)
    card_path = checkpoint.with_suffix(".json")
    # Both are whole before either is in its place; the card comes last, since weights without one
    # are no finished checkpoint.
    with whole(card_path) as partial_card, whole(checkpoint) as partial:
        # The network's description is under the hash as well: it decides what the weights mean.
        save_file(tensors, partial, {"network": json.dumps(generator.config.to_dict())})
        partial.chmod(0o644)  # safetensors writes files only their owner can read
        raw = {
            "format_version": FORMAT_VERSION,
            **card,
            "network": generator.config.to_dict(),
            "style_dim": generator.config.style_dim,
            "sha256": sha256_of(partial),
        }
        partial_card.write_text(json.dumps(raw, indent=2) + "\n", "utf-8")
        card_path.unlink(missing_ok=True)
    return read_card(checkpoint)


def as_stored(key: str, value: "Tensor") -> "Tensor":
    """A tensor of a state dict as files of finished networks hold it: floating point as float16,
    ``BATCH_STATISTICS`` as they are. Raises NonFiniteLoss if it cannot be."""
    value = value.detach().cpu()
    if value.is_floating_point() and not key.endswith(BATCH_STATISTICS):
        value = value.half()
    if not value.isfinite().all():
        raise NonFiniteLoss(
            f"The weights {key} are not finite, or beyond float16; nothing was written. Train "
            "again with precision fp32, or a lower learning rate (--precision, --lr-generator)."
        )
    return value.contiguous()


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
