"""Copies of the released checkpoint that a test may spoil."""

import json
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

from model.checkpoint import sha256_of
from tests.processes import RELEASE


def copy(folder: Path, name: str = "copy") -> Path:
    """Of weights and card, under that name."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(RELEASE.with_suffix(suffix), folder / f"{name}{suffix}")
    return folder / f"{name}.safetensors"


def change_card(checkpoint: Path, **changes: object) -> None:
    card = checkpoint.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))


def take_a_weight(checkpoint: Path) -> None:
    """It is still what its card says, but lacks a weight: only loading shows it."""
    with safe_open(checkpoint, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    del tensors[next(name for name in tensors if name.startswith("generator."))]
    save_file(tensors, checkpoint, metadata)
    change_card(checkpoint, sha256=sha256_of(checkpoint))
