"""A baseline after training, with the two methods that ``Synthesizer`` has.

SIAN's own networks become checkpoints (``training/export.py``) and are judged as they are
served. The other methods are kept with their training configuration and are never served.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from model.checkpoint import as_stored
from model.config import NetworkConfig
from model.device import compute_reproducibly
from model.encoder import StyleEncoder
from model.errors import CheckpointMissing, CheckpointTruncated, ParameterInvalid
from model.files import whole
from model.pixels import channels_last, image_to_pm1, place, pm1_to_image
from model.synthesizer import Synthesizer
from model.version import code_version
from training.conditions import condition_maps
from training.config import TrainConfig
from training.data.crops import LoadedSlide
from training.evaluation.protocol import TileModel
from training.export import MONUSEG_LICENCE, export
from training.finish import finished_networks
from training.networks import AnyGenerator, build, condition_of, direction_of, smallest_px
from training.noise import seeded
from training.state import Progress
from training.step import Stepper

RESULT_NAME = "checkpoint.safetensors"


class Trained:
    """A generator and encoder in evaluation mode, and the configuration they were trained with."""

    def __init__(self, generator: AnyGenerator, encoder: StyleEncoder, config: TrainConfig) -> None:
        self.generator, self.encoder, self.config = generator, encoder, config
        self.device = next(generator.parameters()).device

    @classmethod
    def load(cls, path: Path, *, device: str = "cpu") -> "Trained":
        """Read what ``save_trained`` wrote.

        Raises:
            CheckpointMissing, CheckpointTruncated: there is none, or it is damaged.
        """
        compute_reproducibly(device)  # as Synthesizer.load does
        if not path.is_file():
            raise CheckpointMissing(f"There is no trained network {path}. Train it first.")
        try:
            with safe_open(path, "pt", device=device) as file:
                config = TrainConfig.from_dict(json.loads((file.metadata() or {})["config"]))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError) as error:
            raise CheckpointTruncated(
                f"{path} is cut short or damaged ({error!r}). Delete it and train again."
            ) from None
        generator, encoder = build(config.network)
        for name, network in (("generator", generator), ("encoder", encoder)):
            place(network, device).load_state_dict(
                {
                    key.removeprefix(f"{name}/"): value.float()
                    for key, value in tensors.items()
                    if key.startswith(f"{name}/")
                }
            )
        return cls(generator.eval(), encoder.eval(), config)

    @torch.inference_mode()
    def encode_style(self, image_u8: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Style vector (D,) of a reference image (H, W, 3); D is 0 for a method without."""
        vector = self.encoder.encode(image_to_pm1(image_u8).to(self.device))
        return vector[0].float().cpu().numpy()

    @torch.inference_mode()
    def synthesize(
        self, mask_labels: NDArray[Any], style: NDArray[np.float32], *, seed: int
    ) -> NDArray[np.uint8]:
        """A tile (H, W, 3) for an instance mask (H, W); the same inputs give the same tile.

        Raises:
            ParameterInvalid: the network cannot draw a tile of this size.
        """
        network = self.config.network
        stride, smallest = network.stride, smallest_px(network)
        if any(side % stride or side < smallest for side in mask_labels.shape):
            raise ParameterInvalid(
                f"The mask is {mask_labels.shape[1]} x {mask_labels.shape[0]} px; this network "
                f"draws sides that are multiples of {stride} and at least {smallest}."
            )
        maps = condition_maps(mask_labels, condition_of(network), direction_of(network))
        condition = channels_last(torch.from_numpy(maps)[None].to(self.device))
        vector = torch.from_numpy(style)[None].to(self.device)
        with seeded(seed, self.device):  # pix2pix's dropout
            return pm1_to_image(self.generator(condition, vector))


def save_trained(
    path: Path,
    stepper: Stepper,
    progress: Progress,
    slides: Sequence[LoadedSlide],
    *,
    licence: str,
) -> None:
    """Write the finished networks, stored as those of SIAN's checkpoints are, so that no method is
    rounded more than another. ``slides``: those trained on.

    Raises:
        FileUnwritable, NonFiniteLoss
    """
    generator, encoder = finished_networks(stepper, slides)
    tensors = {
        f"{name}/{key}": as_stored(key, value)
        for name, network in (("generator", generator), ("encoder", encoder))
        for key, value in network.state_dict().items()
    }
    metadata = {
        "config": json.dumps(stepper.config.to_dict()),
        "steps": str(progress.step),
        "hours": f"{progress.seconds / 3600:.2f}",
        "slides": json.dumps([slide.id for slide in slides]),
        "licence": licence,
        "code_version": code_version(),
    }
    with whole(path) as partial:
        save_file(tensors, partial, metadata)


def is_finished(path: Path, config: TrainConfig) -> bool:
    """Whether ``finish`` has written all of its result for a run of ``config``."""
    card = path.with_suffix(".json")
    return path.is_file() and (card.is_file() or not isinstance(config.network, NetworkConfig))


def finish(
    method: str,
    run: Path,
    stepper: Stepper,
    progress: Progress,
    slides: Sequence[LoadedSlide],
    *,
    checkpoint: Path | None = None,
    licence: str = MONUSEG_LICENCE,
) -> Path:
    """Write the result of a run: a checkpoint of SIAN's networks, or the networks of another
    method; by default to ``run``/checkpoint.safetensors. Returns its path."""
    target = checkpoint or run / RESULT_NAME
    if isinstance(stepper.config.network, NetworkConfig):
        export(target, stepper, progress, slides, name=method, licence=licence)
    else:
        save_trained(target, stepper, progress, slides, licence=licence)
    return target


def load_result(path: Path, *, device: str = "cpu") -> TileModel:
    """What ``finish`` wrote, ready to synthesize in fp32, as every method is compared. Raises
    CheckpointError."""
    if path.with_suffix(".json").is_file():
        # One tile a pass, which a GPU would fill up with empty ones to a whole batch.
        return Synthesizer.load(path, device=device, precision="fp32", max_batch=1)
    return Trained.load(path, device=device)
