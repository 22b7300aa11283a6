"""MoNuSeg: 44 H&E slides (1000 x 1000 px at 40x) with every nucleus outlined.

Kumar et al., IEEE TMI 2017 and 2020; CC BY-NC-SA 4.0. ``read_dataset`` accepts a folder in
either of two layouts:

    images and label maps           the official archives, unpacked anywhere below the folder
    train/images/<id>.png           MoNuSeg 2018 Training Data/Tissue Images/<id>.tif
    train/instances/<id>.png        MoNuSeg 2018 Training Data/Annotations/<id>.xml
    test/images/<id>.png            MoNuSegTestData/<id>.tif
    test/instances/<id>.png         MoNuSegTestData/<id>.xml
    manifest.json (optional)

Organ and split of the 44 published slides are known here; slides of one's own need a manifest:
a JSON list of objects with ``id``, ``split`` ("train" or "test") and ``organ``, and optionally
``image_sha256`` and ``label_sha256`` of the files.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import DataInvalid
from training.data.monuseg_xml import rasterise, read_regions

SPLITS = ("train", "test")
_IMAGE_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Slide:
    """One slide: where it is, and what it shows. Pixels are read when asked for."""

    id: str
    split: str
    """"train" or "test"."""
    organ: str
    image_path: Path
    labels_path: Path
    """A label map (PNG) or Aperio XML."""

    def image(self) -> NDArray[np.uint8]:
        """The slide as RGB, (H, W, 3). Raises DataInvalid when the file cannot be read."""
        with _opened(self.image_path) as image:
            return np.asarray(image.convert("RGB"))

    def labels(self) -> NDArray[np.int32]:
        """The instance mask, (H, W): 0 is background, a nucleus has one positive id.

        Raises DataInvalid when the file cannot be read or does not fit the image.
        """
        with _opened(self.image_path) as image:
            shape = (image.height, image.width)
        if self.labels_path.suffix.lower() == ".xml":
            return rasterise(read_regions(self.labels_path), shape)
        with _opened(self.labels_path) as image:
            labels = np.asarray(image)
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise DataInvalid(
                f"{self.labels_path} is no label map: expected one channel of integer ids, "
                f"found {labels.dtype} of shape {labels.shape}. Save ids as a 16-bit PNG."
            )
        if labels.shape != shape:
            raise DataInvalid(
                f"{self.labels_path} is {labels.shape[1]} x {labels.shape[0]} px but its image "
                f"{self.image_path.name} is {shape[1]} x {shape[0]} px. They must be equal."
            )
        return labels.astype(np.int32)


def read_dataset(root: Path, *, manifest: Path | None = None, verify: bool = False) -> list[Slide]:
    """The slides found below ``root``, train before test, by id within a split.

    ``manifest`` names organ and split of slides that are not among the published 44; without it
    ``root/manifest.json`` is used if there, then the built-in table. ``verify`` compares every file
    with the sha256 in the manifest. Raises DataInvalid, naming the file and what to do.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataInvalid(f"There is no folder {root}. Unpack MoNuSeg and pass its folder.")
    facts = _read_facts(root, manifest)
    if any((root / split / "images").is_dir() for split in SPLITS):
        pairs = _label_map_pairs(root)
    else:
        pairs = _official_pairs(root)
    slides: dict[str, Slide] = {}
    for image_path, labels_path in pairs:
        slide = _slide(image_path, labels_path, facts, root)
        if slide.id in slides:
            raise DataInvalid(
                f"Slide {slide.id} is there twice: {slides[slide.id].image_path} and "
                f"{image_path}. Remove one, so that no slide counts double."
            )
        slides[slide.id] = slide
        if verify:
            _verify(slide, facts[slide.id])
    return sorted(slides.values(), key=lambda slide: (SPLITS.index(slide.split), slide.id))


def _read_facts(root: Path, manifest: Path | None) -> dict[str, dict[str, Any]]:
    """Manifest entries by slide id, the built-in table beneath them."""
    table = resources.files("training.data").joinpath("monuseg_slides.json").read_text("utf-8")
    facts: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in json.loads(table)}
    if manifest is None and (root / "manifest.json").is_file():
        manifest = root / "manifest.json"
    if manifest is None:
        return facts
    try:
        entries = json.loads(manifest.read_text("utf-8"))
        facts.update({str(entry["id"]): entry for entry in entries})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataInvalid(
            f"{manifest} is no manifest ({type(error).__name__}: {error}). Expected a JSON list "
            "of objects with id, split and organ."
        ) from error
    return facts


def _label_map_pairs(root: Path) -> Iterable[tuple[Path, Path]]:
    found = False
    for split in SPLITS:
        for image_path in sorted((root / split / "images").glob("*.png")):
            found = True
            labels_path = root / split / "instances" / image_path.name
            if not labels_path.is_file():
                raise DataInvalid(
                    f"{image_path} has no label map: expected {labels_path}. Add it, or remove "
                    "the image."
                )
            yield image_path, labels_path
    if not found:
        raise DataInvalid(f"No image in {root}/train/images or {root}/test/images (*.png).")


def _official_pairs(root: Path) -> Iterable[tuple[Path, Path]]:
    files = [
        path
        for path in sorted(root.rglob("*"))
        # macOS leaves "._name" twins beside the real files when it makes an archive.
        if path.is_file() and not path.name.startswith("._")
    ]
    images = [path for path in files if path.suffix.lower() in _IMAGE_SUFFIXES]
    outlines = {path.stem: path for path in files if path.suffix.lower() == ".xml"}
    if not images:
        raise DataInvalid(
            f"No MoNuSeg slide below {root}. Expected train/images/*.png with "
            "train/instances/*.png, or the official archives with *.tif and *.xml."
        )
    for image_path in images:
        if image_path.stem not in outlines:
            raise DataInvalid(
                f"{image_path} has no annotation: no {image_path.stem}.xml below {root}. "
                "Unpack the Annotations folder too."
            )
        yield image_path, outlines[image_path.stem]


def _slide(
    image_path: Path, labels_path: Path, facts: dict[str, dict[str, Any]], root: Path
) -> Slide:
    name = image_path.stem
    entry = facts.get(name)
    if entry is None:
        raise DataInvalid(
            f"{image_path} is not one of MoNuSeg's 44 slides, so its organ and split are unknown. "
            f"Add it to a manifest (a JSON list with id, split, organ), by default "
            f"{root / 'manifest.json'}."
        )
    split, organ = entry.get("split"), entry.get("organ")
    if split not in SPLITS or not isinstance(organ, str) or not organ:
        raise DataInvalid(
            f"The manifest entry of {name} needs split (train or test) and organ, but has "
            f"split={split!r} and organ={organ!r}."
        )
    folder = image_path.parent.parent.name
    if image_path.parent.name == "images" and folder in SPLITS and folder != split:
        raise DataInvalid(
            f"{image_path} lies in {folder}/ but the manifest says {split}. Training and test "
            "slides must not mix: move the file or mend the manifest."
        )
    return Slide(name, split, organ, image_path, labels_path)


def _verify(slide: Slide, entry: dict[str, Any]) -> None:
    for path, key in ((slide.image_path, "image_sha256"), (slide.labels_path, "label_sha256")):
        expected = entry.get(key)
        if expected is None:
            continue
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise DataInvalid(
                f"{path} is not the file the manifest describes: {key} {expected} expected, "
                f"{actual} found. Download it again."
            )


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image at ``path``; whatever goes wrong while opening or decoding names the file."""
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataInvalid(
            f"{path} cannot be read as an image ({error}). Download it again."
        ) from error
