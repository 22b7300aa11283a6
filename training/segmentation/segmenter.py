"""A trained SegNet: images in, instance masks out."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from model.device import compute_reproducibly
from model.errors import CheckpointMismatch, CheckpointMissing, CheckpointTruncated
from model.files import whole
from model.pixels import place, u8_to_pm1
from training.segmentation.config import SegNetConfig
from training.segmentation.instances import recover_instances
from training.segmentation.segnet import STRIDE, SegNet

ImageU8 = NDArray[np.uint8]
Labels = NDArray[np.int32]


class Segmenter:
    """A SegNet in evaluation mode, and the configuration it was trained with."""

    def __init__(self, net: SegNet, config: SegNetConfig) -> None:
        self.net, self.config = net.eval(), config
        self.device = next(net.parameters()).device

    @classmethod
    def load(cls, path: Path, *, device: str = "cpu") -> "Segmenter":
        """Read what ``save`` wrote.

        Raises:
            CheckpointMissing, CheckpointTruncated: there is none, or it is damaged.
            CheckpointMismatch: it is something else.
        """
        compute_reproducibly(device)  # whatever ran before in this process
        if not path.is_file():
            raise CheckpointMissing(f"There is no trained SegNet {path}. Train it first.")
        try:
            with safe_open(path, "pt", device=device) as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointTruncated(
                f"{path} is cut short or damaged ({error}). Delete it and train again."
            ) from None
        try:
            config = SegNetConfig.from_dict(json.loads(metadata["segnet"]))
            net = place(SegNet(config.width), device)
            net.load_state_dict(tensors)
        except (KeyError, RuntimeError) as error:
            raise CheckpointMismatch(
                f"{path} does not hold a SegNet ({str(error).splitlines()[0]}). Train one."
            ) from None
        return cls(net, config)

    def save(self, path: Path) -> None:
        """Write weights and configuration as safetensors. Raises FileUnwritable."""
        tensors = {key: value.contiguous() for key, value in self.net.state_dict().items()}
        with whole(path) as partial:
            save_file(tensors, partial, {"segnet": json.dumps(self.config.to_dict())})

    def segment(self, image_u8: ImageU8) -> Labels:
        """The nuclei of an image (H, W, 3) of any size: (H, W), 0 is background, ids from 1."""
        (labels,) = self.segment_many([image_u8])
        return labels

    def segment_many(self, images_u8: Sequence[ImageU8], batch_size: int = 8) -> list[Labels]:
        """The same for several images; neighbours of equal size share a pass of the network."""
        return [
            recover_instances(classes)
            for batch in _batches(images_u8, batch_size)
            for classes in self._classes(batch)
        ]

    @torch.inference_mode()
    def _classes(self, images_u8: Sequence[ImageU8]) -> NDArray[np.uint8]:
        """The most likely class of every pixel, (B, H, W)."""
        stacked = np.stack(images_u8)
        height, width = stacked.shape[1:3]
        padding = ((0, 0), (0, -height % STRIDE), (0, -width % STRIDE), (0, 0))
        padded = torch.from_numpy(np.pad(stacked, padding, mode="reflect")).to(self.device)
        scores = self.net(u8_to_pm1(padded.permute(0, 3, 1, 2)))
        classes = scores.argmax(1).to(torch.uint8)
        return np.asarray(classes[:, :height, :width].cpu().numpy())


def _batches(images_u8: Sequence[ImageU8], size: int) -> Iterator[list[ImageU8]]:
    """Runs of at most ``size`` images of equal shape, in order."""
    for _, group in groupby(images_u8, key=np.shape):
        alike = list(group)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]
