"""COCO's instance annotations: run lengths (RLE), compressed or not, or polygons.

Reading: the annotations of one image, whatever their category and ``iscrowd``. The id of a nucleus
is its annotation's ``instance_id`` where the file has any, else its ``id``; what is no id of a
mask, such as 0, is numbered after the others. Annotations that share an id are one nucleus. A
results file, which is a list of annotations, will do, too.
"""

import json
import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskShape, MaskUnreadable
from model.mask import MAX_ID, PIXELS_PER_NUCLEUS, Reading, check_mask
from model.mask_formats.drawing import check_cover, draw_new, fill, numbered, polygons
from model.mask_formats.outlines import Index, trace
from model.mask_formats.run_lengths import boxes, compressed, decompressed, runs

CATEGORY = {"id": 1, "name": "nucleus", "supercategory": "cell"}

Annotation = dict[str, Any]


def is_coco(content: Any) -> bool:
    """Whether parsed JSON is a COCO data set, or a list of annotations."""
    if isinstance(content, list):
        return bool(content) and isinstance(content[0], dict) and "segmentation" in content[0]
    return isinstance(content, dict) and "annotations" in content


def decode(content: Any, reading: Reading) -> NDArray[np.int32]:
    """Draw the nuclei of parsed COCO JSON, (H, W).

    Where they overlap the later one wins, and polygons win over run lengths.

    Raises:
        MaskShape: several images.
        MaskUnreadable: annotations without what makes one, run lengths that do not fit the
            image, or as ``drawing.draw_new``.
        ParameterInvalid: another size than ``reading.size``.
        MaskTooLarge, MaskTooSmall, MaskIdTooLarge: as ``drawing.draw_new`` and ``numbered``.
    """
    annotations = _annotations(content)
    if len(annotations) > reading.max_side**2 / PIXELS_PER_NUCLEUS:
        raise MaskUnreadable(
            f"The COCO file holds {len(annotations)} annotations, too many for an image of "
            f"{reading.max_side} px a side. Send those of one image."
        )
    key = "instance_id" if any("instance_id" in found for found in annotations) else "id"
    ids = numbered([_id(found.get(key)) for found in annotations])
    encoded, outlined = [], []
    for id, found in zip(ids, annotations, strict=True):
        segmentation: Any = found.get("segmentation")
        if isinstance(segmentation, dict):
            encoded.append((id, segmentation))
        elif _is_outline(segmentation):
            outlined += [(id, [ring]) for ring in segmentation]
        else:
            raise MaskUnreadable(
                f"The COCO annotation of id {reprlib.repr(found.get('id'))} has neither run "
                "lengths nor polygons of x, y, x, y, ... as its segmentation. Export it again."
            )
    size = _size(content, [found for _, found in encoded])
    if size is None:
        return draw_new(polygons(outlined), reading)
    reading.check_size(*size)
    mask = _draw_runs(encoded, size)
    if not outlined:
        return mask
    drawn = draw_new(polygons(outlined), reading._replace(size=size))
    np.copyto(mask, drawn, where=drawn > 0)
    return mask


def coco_annotations(
    mask: NDArray[Any],
    *,
    image_id: int,
    first_id: int = 1,
    category_id: int = 1,
    as_polygons: bool = False,
) -> list[Annotation]:
    """One annotation for each nucleus of an instance mask (H, W), by ascending id.

    ``id`` counts from ``first_id``; ``instance_id`` is the nucleus' id. ``segmentation`` is
    compressed RLE as pycocotools has it, with ``counts`` as text. ``bbox`` is x, y, width, height
    and ``area`` the number of pixels.

    Args:
        as_polygons: the outlines along the edges of pixels instead. COCO's polygons cannot have
            holes: nuclei with holes stay RLE.
    """
    check_mask(mask)
    ids, first, starts, lengths = runs(mask)
    areas = np.add.reduceat(lengths, first) if len(ids) else lengths
    frames = boxes(first, starts, lengths, mask.shape[0])
    segmentations = compressed(first, starts, lengths, mask.shape)
    rings = _polygons_without_holes(mask) if as_polygons else {}
    return [
        {
            "id": first_id + index,
            "image_id": image_id,
            "category_id": category_id,
            "instance_id": id,
            "segmentation": rings.get(id, segmentation),
            "area": area,
            "bbox": box,
            "iscrowd": 0,
        }
        for index, (id, segmentation, area, box) in enumerate(
            zip(ids.tolist(), segmentations, areas.tolist(), frames.tolist(), strict=True)
        )
    ]


def encode(mask: NDArray[Any]) -> bytes:
    """A COCO data set of one image, whose file is named tile.png, as JSON text."""
    height, width = mask.shape
    content = {
        "images": [{"id": 1, "width": width, "height": height, "file_name": "tile.png"}],
        "annotations": coco_annotations(mask, image_id=1, category_id=1),
        "categories": [CATEGORY],
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _annotations(content: Any) -> list[Annotation]:
    """The annotations, all of which are of one image."""
    found = content if isinstance(content, list) else content["annotations"]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MaskUnreadable(
            "The COCO file's annotations are no list of objects. Export or upload it again."
        )
    images = {json.dumps(entry["image_id"]) for entry in found if "image_id" in entry}
    listed = [] if isinstance(content, list) else content.get("images")
    count = max(len(images), len(listed) if isinstance(listed, list) else 0)
    if count > 1:
        raise MaskShape(
            f"The COCO file holds {count} images. Send those annotations, and that entry of "
            "images, that belong to one image."
        )
    return found


def _size(content: Any, encoded: list[dict[str, Any]]) -> tuple[int, int] | None:
    """Height and width that the file declares, where it does."""
    declared = [entry.get("size") for entry in encoded]
    listed = content.get("images") if isinstance(content, dict) else None
    if isinstance(listed, list) and listed and isinstance(listed[0], dict):
        image = listed[0]
        if "height" in image or "width" in image:
            declared.insert(0, [image.get("height"), image.get("width")])
    if not declared:
        return None
    for size in declared:
        if size != declared[0]:
            raise MaskUnreadable(
                f"The COCO file holds run lengths for the size {reprlib.repr(size)} and an image "
                f"of {reprlib.repr(declared[0])} (height and width). Send the annotations of one "
                "image."
            )
    match declared[0]:
        case [int(height), int(width)]:
            return height, width
    raise MaskUnreadable(
        f"The COCO file declares the size {reprlib.repr(declared[0])} of its image; expected "
        "height and width as integers. Export it again."
    )


def _draw_runs(
    encoded: list[tuple[int, dict[str, Any]]], size: tuple[int, int]
) -> NDArray[np.int32]:
    """A mask (H, W) with these run lengths on it."""
    height, width = size
    flat = np.zeros(width * height, np.int32)
    starts, lengths, ids = [], [], []
    for id, segmentation in encoded:
        counts = _counts(segmentation.get("counts"))
        ends = np.cumsum(counts)
        # Each is checked beside the sum, which may have wrapped around.
        lowest, highest = counts.min(initial=0), counts.max(initial=0)
        if lowest < 0 or highest > len(flat) or (len(ends) and ends[-1] != len(flat)):
            raise MaskUnreadable(
                f"The run lengths of nucleus {id} in the COCO file do not add up to the "
                f"{width} x {height} px of the image. Export it again."
            )
        starts.append(ends[:-1:2])
        lengths.append(counts[1::2])
        ids.append(np.full(len(counts) // 2, id))
    if encoded:
        length = np.concatenate(lengths)
        check_cover(int(length.sum()), len(flat))
        fill(flat, np.concatenate(starts), length, np.concatenate(ids))
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _counts(counts: Any) -> Index:
    """Run lengths, of the stroma and of the nucleus in turn, whether compressed or not."""
    if isinstance(counts, np.ndarray):
        return counts
    if not isinstance(counts, str):
        raise MaskUnreadable(
            "The COCO file has run lengths whose counts are neither text nor integers. Export "
            "it again."
        )
    if not counts:
        return np.zeros(0, np.int64)
    return decompressed(np.frombuffer(counts.encode("latin-1", "replace"), np.uint8))


def _polygons_without_holes(mask: NDArray[Any]) -> dict[int, list[list[int]]]:
    """Of nuclei whose pieces have no holes: x, y, x, y, ... of each piece."""
    traced = trace(mask)
    with_holes = set(traced.ids[np.diff(traced.polygons) > 1].tolist())
    found: dict[int, list[list[int]]] = {}
    for id, ring in zip(traced.ids.tolist(), traced.polygons[:-1].tolist(), strict=True):
        if id not in with_holes:
            start, end = traced.rings[ring : ring + 2]
            found.setdefault(id, []).append(traced.vertices[start:end].ravel().tolist())
    return found


def _is_outline(segmentation: Any) -> bool:
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return all(isinstance(ring, np.ndarray) for ring in segmentation)


def _id(value: Any) -> int | None:
    return value if type(value) is int and 0 < value <= MAX_ID else None
