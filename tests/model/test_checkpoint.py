"""Checkpoints: what is written is read back, and what is damaged is refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from model.checkpoint import load_networks, read_card, save_checkpoint, sha256_of, verify
from model.config import NetworkConfig
from model.encoder import build_encoder
from model.errors import (
    CheckpointHash,
    CheckpointMismatch,
    CheckpointMissing,
    CheckpointTruncated,
    CheckpointVersion,
    NonFiniteLoss,
)
from model.generator import Generator
from model.styles import StyleBank
from tests.networks import TINY


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "folder" / "small.safetensors"
    styles = {"liver": np.arange(30, dtype=np.float32).reshape(2, 15)}
    save_checkpoint(
        path,
        Generator(TINY),
        build_encoder(TINY),
        styles,
        {
            "name": "small", "licence": "CC-BY-NC-SA-4.0", "mpp": 0.25, "training": {"steps": 1},
            "styles": {"liver": [{"slide": "a"}, {"slide": "b"}]}, "code_version": "0.1.0",
        },
    )  # fmt: skip
    return path


def change_card(checkpoint: Path, **fields: Any) -> None:
    card = checkpoint.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | fields))


def test_weights_survive_to_half_precision(checkpoint: Path) -> None:
    torch.manual_seed(0)
    original = Generator(TINY)
    generator, encoder, card = load_networks(checkpoint, "cpu")
    for (name, saved), (_, first) in zip(
        generator.named_parameters(), original.named_parameters(), strict=True
    ):
        torch.testing.assert_close(saved, first, rtol=1e-3, atol=1e-6, msg=name)
        assert saved.dtype == torch.float32
    assert not generator.training
    assert not encoder.training
    assert card.config == TINY
    assert card.style_dim == 15
    np.testing.assert_array_equal(StyleBank.load(checkpoint).exemplars("liver")[1, :2], [15, 16])


def test_saving_twice_gives_the_same_bytes(checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    generator, encoder, card = load_networks(checkpoint, "cpu")
    styles = {"liver": StyleBank.load(checkpoint).exemplars("liver")}
    fields = ("name", "licence", "mpp", "styles", "training", "code_version")
    save_checkpoint(checkpoint, generator, encoder, styles, {f: card.raw[f] for f in fields})
    assert checkpoint.read_bytes() == before


def test_missing_files(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissing, match="SIAN_CHECKPOINT"):
        read_card(tmp_path / "none.safetensors")
    checkpoint.with_suffix(".json").unlink()
    with pytest.raises(CheckpointMissing, match=r"small\.json"):
        read_card(checkpoint)


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_truncated_weights(checkpoint: Path, keep: int) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:keep])
    with pytest.raises(CheckpointTruncated):
        verify(checkpoint)


@pytest.mark.parametrize(
    "change",
    [{"styles": []}, {"styles": {"liver": 3}}, {"sha256": None}, {"mpp": "0.25"}, {"network": 1}],
)
def test_a_card_with_fields_of_another_kind(checkpoint: Path, change: dict[str, Any]) -> None:
    change_card(checkpoint, **change)
    with pytest.raises(CheckpointTruncated, match="of another kind"):
        read_card(checkpoint)


def test_weights_that_are_not_finite_are_not_written(checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    generator, encoder, card = load_networks(checkpoint, "cpu")
    generator.to_image.weight[0] = 70_000  # beyond float16
    fields = ("name", "licence", "mpp", "styles", "training", "code_version")
    facts = {field: card.raw[field] for field in fields}
    with pytest.raises(NonFiniteLoss, match=r"to_image\.weight"):
        save_checkpoint(checkpoint, generator, encoder, {}, facts)
    assert checkpoint.read_bytes() == before
    assert verify(checkpoint) == card


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 1}'])
def test_damaged_card(checkpoint: Path, text: str) -> None:
    checkpoint.with_suffix(".json").write_text(text)
    with pytest.raises(CheckpointTruncated):
        read_card(checkpoint)


def test_another_version(checkpoint: Path) -> None:
    change_card(checkpoint, format_version=2)
    with pytest.raises(CheckpointVersion, match="format version 2"):
        read_card(checkpoint)


def test_wrong_hash(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(bytes(content))
    with pytest.raises(CheckpointHash):
        verify(checkpoint)


def test_an_edited_card(checkpoint: Path) -> None:
    """Padding changes no shape, but pixels; a lost preset would fail later."""
    network = TINY.to_dict() | {"padding": "zeros"}
    for change in ({"network": network}, {"styles": {}}, {"style_dim": 14}):
        before = checkpoint.with_suffix(".json").read_text()
        change_card(checkpoint, **change)
        with pytest.raises(CheckpointMismatch, match="edited"):
            verify(checkpoint)
        checkpoint.with_suffix(".json").write_text(before)


def test_weights_that_do_not_fit_the_card(checkpoint: Path) -> None:
    """A tensor is missing, and everything else is in order."""
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(checkpoint)
    del tensors["generator.to_image.weight"]
    save_file(tensors, checkpoint, metadata)
    change_card(checkpoint, sha256=sha256_of(checkpoint))
    with pytest.raises(CheckpointMismatch, match=r"generator.*to_image\.weight"):
        load_networks(checkpoint, "cpu")


def test_a_card_from_before_the_ablations_means_the_whole_network() -> None:
    values = TINY.to_dict()
    for name in ("stylization", "instantiation", "start_side", "nucleus_noise"):
        del values[name]
    assert NetworkConfig.from_dict(values) == TINY
