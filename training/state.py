"""The state of a run on disk: one safetensors file, written whole or not at all.

It holds networks, averages, optimisers and the step; the configuration and counters are in
the file's metadata. With samples and noise being functions of the step, a run resumed from
it continues exactly as if it had not stopped.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.errors import ResumeMismatch
from training.distributed import Process

STATE_NAME = "state.safetensors"


class RunConfig(Protocol):
    """What a run depends on besides its data."""

    @property
    def free(self) -> frozenset[str]:
        """Settings that a resumed run may have otherwise than the one that was stopped."""

    def to_dict(self) -> dict[str, Any]: ...

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunConfig": ...


class Resumable(Protocol):
    """Something in training whose state is that of its parts and optimisers."""

    process: Process

    @property
    def config(self) -> RunConfig: ...

    def parts(self) -> Mapping[str, nn.Module]: ...

    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]: ...


@dataclass
class Progress:
    """How far a run is: steps done, and seconds spent on them over all its sittings."""

    step: int = 0
    seconds: float = 0.0


def save_state(run: Path, stepper: Resumable, progress: Progress) -> None:
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
    }
    target = run / STATE_NAME
    partial = target.with_suffix(".tmp")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata)
    partial.replace(target)


def load_state(run: Path, stepper: Resumable) -> Progress:
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
    return Progress(int(metadata["step"]), float(metadata["seconds"]))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


@torch.no_grad()
def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, slot = key.split("/")
        state.setdefault(int(index), {})[slot] = _laid_out(value, parameters[int(index)])
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """A slot in the memory layout of its parameter, which the file does not keep. Fused Adam
    walks parameter and moments in step: it refuses other strides on CUDA, and on the CPU pairs
    the wrong elements without a word."""
    if value.shape != parameter.shape:
        return value  # the step count
    return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)


def _check_config(values: dict[str, Any], config: RunConfig, path: Path) -> None:
    # Through the class, so that a setting younger than the state counts as its default.
    stored = config.from_dict(values).to_dict()
    ours = config.to_dict()
    differing = sorted(key for key in ours if key not in config.free and stored[key] != ours[key])
    if differing:
        message = f"{path} was made with other settings of {', '.join(differing)}. "
        if "steps" in differing:
            message += (
                f"The learning rate falls over the length of the run, which was to be "
                f"{stored['steps']} steps and not {ours['steps']}. "
            )
        raise ResumeMismatch(message + "Use the same settings, or another folder for a new run.")
