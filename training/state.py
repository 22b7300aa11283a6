"""The state of a run on disk: one safetensors file, written whole or not at all.

It holds networks, averages, optimisers and the step; the configuration and counters are in
the file's metadata. With samples and noise being functions of the step, a run resumed from
it continues exactly as if it had not stopped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.errors import NonFiniteLoss, ResumeMismatch
from model.files import whole
from training.distributed import Process

STATE_NAME = "state.safetensors"

_SHOWN = 4

TRY_INSTEAD = (
    "Nothing of it was saved. Resume with --precision fp32, or, with `sian train`, a lower "
    "learning rate (--lr-generator)."
)


class RunConfig(Protocol):
    """What a run depends on besides its data."""

    def fixed(self) -> dict[str, Any]:
        """Settings that a resumed run must have as the one that was stopped."""

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


def save_state(
    run: Path, stepper: Resumable, progress: Progress, origins: Mapping[str, str]
) -> None:
    """Write ``run``/state.safetensors, replacing the former one in a single rename.

    origins: digests of what is trained on, by name.

    Raises:
        NonFiniteLoss: the networks hold NaN or infinity; the former state stays.
        FileUnwritable: as when the disk is full; likewise.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in stepper.parts().items():
        for key, value in part.state_dict().items():
            tensors[f"{name}/{key}"] = value
    if not torch.stack([value.isfinite().all() for value in tensors.values()]).all():
        raise NonFiniteLoss(
            f"The weights became NaN or infinite by step {progress.step}. {TRY_INSTEAD}"
        )
    for name, optimiser in stepper.optimisers().items():
        for index, slots in optimiser.state_dict()["state"].items():
            for slot, value in slots.items():
                tensors[f"{name}/{index}/{slot}"] = value
    metadata = {
        "config": json.dumps(stepper.config.to_dict()),
        "step": str(progress.step),
        "seconds": repr(progress.seconds),
        "origins": json.dumps(dict(origins)),
    }
    with whole(run / STATE_NAME) as partial:
        save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata)


def load_state(run: Path, stepper: Resumable, origins: Mapping[str, str]) -> Progress:
    """Restore a run, or start at step 0 if ``run`` holds no state.

    Raises:
        ResumeMismatch: the state is unreadable, or belongs to another configuration, or was trained
            on something else.
    """
    path = run / STATE_NAME
    if not path.is_file():
        return Progress()
    try:
        # On the CPU: "cuda" would be the first GPU, for all of several processes.
        with safe_open(path, "pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        # Through the class, so that a setting younger than the state counts as its default.
        stored = stepper.config.from_dict(json.loads(metadata["config"])).fixed()
        progress = Progress(int(metadata["step"]), float(metadata["seconds"]))
        # A state from before they were noted says nothing of them.
        trained_on = json.loads(metadata["origins"]) if "origins" in metadata else dict(origins)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ResumeMismatch(
            f"{path} cannot be read ({error!r}). Delete it to start this run afresh."
        ) from error
    _check_config(stored, stepper.config, path)
    _check_origins(trained_on, origins, path)
    _check_shapes(tensors, stepper, path)
    for name, part in stepper.parts().items():
        part.load_state_dict(_below(tensors, f"{name}/"))
    for name, optimiser in stepper.optimisers().items():
        _load_optimiser(optimiser, _below(tensors, f"{name}/"))
    return progress


def _check_shapes(tensors: Mapping[str, Tensor], stepper: Resumable, path: Path) -> None:
    ours = {
        f"{name}/{key}": value.shape
        for name, part in stepper.parts().items()
        for key, value in part.state_dict().items()
    }
    wrong = [key for key in ours if key not in tensors or tensors[key].shape != ours[key]]
    if wrong:
        raise ResumeMismatch(
            f"{path} holds other networks than those to be trained: {wrong[0]} is not there, or of "
            "another shape. It was written by another version of this software; choose another "
            "folder."
        )


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


def _check_config(stored: dict[str, Any], config: RunConfig, path: Path) -> None:
    ours = config.fixed()
    differing = sorted(
        key for key in ours.keys() | stored.keys() if stored.get(key) != ours.get(key)
    )
    if differing:
        message = f"{path} was made with other settings of {', '.join(differing)}. "
        if "steps" in differing:
            message += (
                f"The learning rate falls over the length of the run, which was to be "
                f"{stored['steps']} steps and not {ours['steps']}. "
            )
        raise ResumeMismatch(message + "Use the same settings, or another folder for a new run.")


def _check_origins(stored: Mapping[str, str], ours: Mapping[str, str], path: Path) -> None:
    """Slides that took part and are left out later would be missing from the list of those that
    the networks have seen, which are never judged."""
    told = [f"{name}: no longer there" for name in stored if name not in ours]
    told += [f"{name}: new" for name in ours if name not in stored]
    told += [f"{name}: changed" for name in ours if stored.get(name, ours[name]) != ours[name]]
    if told:
        raise ResumeMismatch(
            f"{path} was trained on other images: {listed(told)}. Use the same images, or another "
            "folder for a new run."
        )


def listed(differences: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(differences) - _SHOWN
    return "; ".join([*differences[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
