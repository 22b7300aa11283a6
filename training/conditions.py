"""Instance mask -> what a method's networks are shown of it."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.layout import Direction, layout_maps, normalised_distance

Condition = Literal["layout", "semantic", "semantic_edges", "distance"]
"""``layout``: all maps of SIAN. ``semantic``: nuclei, stroma. ``semantic_edges``: with the
outlines of the instances (pix2pixHD). ``distance``: to the edge of the nucleus (Sharp-GAN)."""

CONDITION_CHANNELS: dict[Condition, int] = {"semantic": 2, "semantic_edges": 3, "distance": 1}
"""Channels of the maps; ``layout`` has as many as its direction map wants."""


def condition_maps(
    mask_labels: NDArray[np.integer[Any]], condition: Condition, direction: Direction
) -> NDArray[np.float32]:
    """(C, H, W) float32 of an instance mask (H, W); C is the network's ``condition_channels``."""
    match condition:
        case "layout":
            return layout_maps(mask_labels, direction).stacked()
        case "semantic":
            return _semantic(mask_labels)
        case "semantic_edges":
            return np.concatenate([_semantic(mask_labels), instance_edges(mask_labels)[None]])
        case "distance":
            return normalised_distance(mask_labels)[None]


def _semantic(mask_labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    return np.stack([mask_labels > 0, mask_labels == 0]).astype(np.float32)


def instance_edges(mask_labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """(H, W): 1 where one of the four neighbours has another id, else 0 (pix2pixHD, Sec. 3.3)."""
    edges = np.zeros(mask_labels.shape, dtype=np.float32)
    down = mask_labels[1:] != mask_labels[:-1]
    across = mask_labels[:, 1:] != mask_labels[:, :-1]
    edges[1:][down] = edges[:-1][down] = 1
    edges[:, 1:][across] = edges[:, :-1][across] = 1
    return edges
