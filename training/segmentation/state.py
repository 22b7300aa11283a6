"""The state of a SegNet's run on disk, as ``training.state`` keeps that of a generator's."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.errors import ResumeMismatch
from training.segmentation.config import SegNetConfig
from training.segmentation.step import SegNetStepper
from training.state import STATE_NAME, Progress

# May differ between the stopped run and the one that resumes it. The number of steps may not:
# the learning rate of each depends on it.
_FREE = frozenset({"learning_rate", "precision"})


def save_state(run: Path, stepper: SegNetStepper, progress: Progress) -> None:
    """Write ``run``/state.safetensors, replacing the former one in a single rename."""
    tensors = {f"net/{key}": value for key, value in stepper.net.state_dict().items()}
    for index, slots in stepper.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{slot}": value for slot, value in slots.items()}
    metadata = {
        "config": json.dumps(stepper.config.to_dict()),
        "step": str(progress.step),
        "seconds": repr(progress.seconds),
    }
    target = run / STATE_NAME
    partial = target.with_suffix(".tmp")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata)
    partial.replace(target)


def load_state(run: Path, stepper: SegNetStepper) -> Progress:
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
    network: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        part, name = key.split("/", 1)
        if part == "net":
            network[name] = value
        else:
            index, slot = name.split("/")
            moments.setdefault(int(index), {})[slot] = value
    stepper.net.load_state_dict(network)
    groups = stepper.optimiser.state_dict()["param_groups"]
    stepper.optimiser.load_state_dict({"state": moments, "param_groups": groups})
    return Progress(int(metadata["step"]), float(metadata["seconds"]))


def _check_config(stored: dict[str, Any], config: SegNetConfig, path: Path) -> None:
    # Through SegNetConfig, so that a setting younger than the state counts as its default.
    stored = SegNetConfig.from_dict(stored).to_dict()
    ours = config.to_dict()
    differing = sorted(key for key in ours if key not in _FREE and stored[key] != ours[key])
    if differing:
        raise ResumeMismatch(
            f"{path} was made with other settings of {', '.join(differing)}. Use the same "
            "settings, or another folder for a new run."
        )
