"""The state of a run on disk: one safetensors file, written whole or not at all.

It holds networks, averages, optimisers and the step; the configuration and counters are in
the file's metadata. With samples and noise being functions of the step, a run resumed from
it continues exactly as if it had not stopped.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.errors import ResumeMismatch
from training.config import TrainConfig
from training.step import Stepper

STATE_NAME = "state.safetensors"

# May differ between the stopped run and the one that resumes it.
_FREE = frozenset({"steps", "bn_batches", "bn_px", "precision", "lr_generator", "lr_discriminator"})


@dataclass
class Progress:
    """How far a run is: steps done, and seconds spent on them over all its sittings."""

    step: int = 0
    seconds: float = 0.0


def save_state(run: Path, stepper: Stepper, progress: Progress) -> None:
    """Write ``run``/state.safetensors, replacing the former one in a single rename."""
    tensors: dict[str, Tensor] = {}
    for name, part in stepper.parts().items():
        for key, value in part.state_dict().items():
            tensors[f"{name}/{key}"] = value
    for name, optimiser in stepper.optimisers().items():
        for index, slots in optimiser.state_dict()["state"].items():
            for slot, value in slots.items():
                tensors[f"{name}/{index}/{slot}"] = value
    metadata = {
        "config": json.dumps(stepper.config.to_dict()),
        "step": str(progress.step),
        "seconds": repr(progress.seconds),
        "ema_updates": str(stepper.ema_generator.updates),
    }
    target = run / STATE_NAME
    partial = target.with_suffix(".tmp")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata)
    partial.replace(target)


def load_state(run: Path, stepper: Stepper) -> Progress:
    """Restore a run, or start at step 0 if ``run`` holds no state.

    Raises:
        ResumeMismatch: the state is unreadable, or belongs to another configuration.
    """
    path = run / STATE_NAME
    if not path.is_file():
        return Progress()
    try:
        with safe_open(path, "pt", device=str(stepper.process.device)) as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ResumeMismatch(
            f"{path} cannot be read ({error}). Delete it to start this run afresh."
        ) from error
    _check_config(json.loads(metadata["config"]), stepper.config, path)
    for name, part in stepper.parts().items():
        part.load_state_dict(_below(tensors, f"{name}/"))
    for name, optimiser in stepper.optimisers().items():
        _load_optimiser(optimiser, _below(tensors, f"{name}/"))
    for ema in (stepper.ema_generator, stepper.ema_encoder):
        ema.updates = int(metadata["ema_updates"])
    return Progress(int(metadata["step"]), float(metadata["seconds"]))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, slot = key.split("/")
        state.setdefault(int(index), {})[slot] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _check_config(stored: dict[str, Any], config: TrainConfig, path: Path) -> None:
    # Through TrainConfig, so that a setting younger than the state counts as its default.
    stored = TrainConfig.from_dict(stored).to_dict()
    ours = config.to_dict()
    differing = sorted(key for key in ours if key not in _FREE and stored[key] != ours[key])
    if differing:
        raise ResumeMismatch(
            f"{path} was made with other settings of {', '.join(differing)}. Use the same "
            "options, or another --run-dir for a new run."
        )
