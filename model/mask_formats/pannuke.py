"""PanNuke's masks.npy: N images of 256 x 256 px, one channel of ids for each type of nucleus.

Channels: neoplastic, inflammatory, connective, dead, epithelial, and the background, which is
left out here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskShape, ParameterInvalid
from model.mask import Reading, check_mask, whole_numbers

CHANNELS = 6
TYPES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")


def is_pannuke(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is one image, or a stack of images, of PanNuke."""
    return len(shape) in (3, 4) and shape[-1] == CHANNELS


def check_shape(shape: tuple[int, ...], reading: Reading) -> None:
    """Raise what is wrong with the shape of an array in PanNuke's layout.

    Raises:
        MaskShape: several images, or none.
        MaskTooLarge, MaskTooSmall, ParameterInvalid: as ``Reading.check_size``.
    """
    if len(shape) == 4 and shape[0] != 1:
        raise MaskShape(
            f"The mask is an array of {shape[0]} PanNuke images, of shape {shape}. Send one of "
            "them: numpy.save('mask.npy', masks[0])."
        )
    height, width = shape[-3:-1]
    reading.check_size(height, width)


def flatten(array: NDArray[Any]) -> NDArray[np.int64]:
    """(H, W, 6) or (1, H, W, 6), integers or whole floats -> ids, (H, W).

    Where channels overlap the later one wins. An id that an earlier channel has too is of another
    nucleus, as channels may be numbered each on its own: it becomes the next free number.

    Raises:
        MaskFloat, MaskNegative, MaskIdTooLarge: values that are no ids.
    """
    planes = array.reshape(array.shape[-3:])[..., : len(TYPES)]
    mask = np.zeros(planes.shape[:2], np.int64)
    taken = np.zeros(0, np.int64)
    free = int(planes.max()) + 1 if np.isfinite(planes.max()) else 0
    for channel in range(len(TYPES)):
        values = whole_numbers(planes[..., channel])
        check_mask(values)
        nuclei = values > 0
        found, nucleus = np.unique(values[nuclei].astype(np.int64), return_inverse=True)
        ids = found.copy()
        is_taken = np.isin(found, taken)
        ids[is_taken] = np.arange(free, free + is_taken.sum())
        free += int(is_taken.sum())
        mask[nuclei] = ids[nucleus]
        taken = np.concatenate([taken, found])
    return mask


def pannuke_array(mask: NDArray[Any], *, nucleus_type: str = TYPES[0]) -> NDArray[np.int32]:
    """An instance mask (H, W) as one image of PanNuke's, (H, W, 6).

    All ids go into the channel of one type, as a mask does not know the types of its nuclei; the
    last channel is 1 where there is no nucleus. PanNuke's images are 256 x 256 px, and its tools
    may expect that; here any size will do.

    Raises:
        MaskError: ``mask`` is no instance mask.
        ParameterInvalid: no type of PanNuke's.
    """
    check_mask(mask)
    if nucleus_type not in TYPES:
        raise ParameterInvalid(
            f"There is no nucleus type {nucleus_type!r}; choose one of {', '.join(TYPES)}."
        )
    array = np.zeros((*mask.shape, CHANNELS), np.int32)
    array[..., TYPES.index(nucleus_type)] = mask
    array[..., -1] = mask == 0
    return array
