"""The noise of a training step: all that a generator takes, for a batch of crops."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from training.networks import AnyGenerator

Normal = Callable[[tuple[int, ...]], Tensor]
"""Standard normal values of a shape, on the device of the crops."""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's own generators, which dropout draws from, at a seed, and as they were afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def draw_noise(
    generator: AnyGenerator, layout: Tensor, nuclei: Tensor | None, normal: Normal
) -> list[Tensor]:
    """One (B, planes, h, w) a stage. Then, if ``nuclei`` (B H W) tells them apart (0 = stroma, ids
    from 1 to at most H W), one value for each of them: (B, 1, H, W)."""
    count, height, width = layout.shape[0], *layout.shape[-2:]
    noise = [normal((count, *shape)) for shape in generator.noise_shapes(height, width)]
    if nuclei is not None:
        noise.append(_of_each(nuclei, normal((count, height * width + 1))))
    return noise


def _of_each(nuclei: Tensor, values: Tensor) -> Tensor:
    value = torch.gather(values, 1, nuclei.flatten(1).long()).view(nuclei.shape)
    return torch.where(nuclei > 0, value, 0.0)[:, None]
