"""Makes the example masks and style images, and the pictures in the documentation.

    python examples/make_examples.py

Everything here is the project's own: the masks are drawn by the functions below, the style
images are synthetic tiles of the served checkpoint. The same checkpoint gives the same files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.draw import polygon

from model.formats import write_mask
from model.images import encode_png
from model.synthesizer import Synthesizer

HERE = Path(__file__).parent
CHECKPOINT = HERE.parent / "checkpoints" / "sian-release.safetensors"
PICTURES = HERE.parent / "docs" / "images"

SIDE = 256
# Of a mask: number of nuclei, mean radius in px, elongation, how strongly they cluster.
KINDS = {
    "scattered": (38, 10.0, 1.25, 0.0),
    "crowded": (85, 9.0, 1.2, 0.5),
    "spindle": (48, 9.0, 2.6, 0.1),
}
ROWS = (
    ("breast", "crowded"),
    ("kidney", "scattered"),
    ("prostate", "crowded"),
    ("colon", "spindle"),
    ("stomach", "scattered"),
)


def draw_mask(kind: str, seed: int) -> NDArray[np.uint16]:
    """An instance mask (256, 256) of smooth outlines; touching nuclei, no overlaps."""
    count, mean_radius, elongation, clustering = KINDS[kind]
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE), np.uint16)
    centres: list[NDArray[np.float64]] = []
    label = 0
    while label < count:
        centre = rng.uniform(-5, SIDE + 5, 2)
        if centres and rng.random() < clustering:
            near = centres[int(rng.integers(len(centres)))]
            centre = near + rng.normal(0, 2 * mean_radius, 2)
        inside = polygon(*outline(centre, mean_radius, elongation, rng), mask.shape)
        free = mask[inside] == 0
        if len(free) < 60 or free.mean() < 0.8:
            continue
        label += 1
        centres.append(centre)
        mask[inside[0][free], inside[1][free]] = label
    return mask


def outline(
    centre: NDArray[np.float64], mean_radius: float, elongation: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of an ellipse with a few low harmonics."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = mean_radius * rng.lognormal(0, 0.18) * np.ones_like(angle)
    for harmonic in (2, 3, 4):
        phase = rng.uniform(0, 2 * np.pi)
        radius *= 1 + rng.normal(0, 0.12 / harmonic) * np.cos(harmonic * angle + phase)
    stretch = np.sqrt(elongation * rng.lognormal(0, 0.15))
    y, x = radius * np.sin(angle) / stretch, radius * np.cos(angle) * stretch
    turn = rng.uniform(0, np.pi)
    return (
        centre[0] + x * np.sin(turn) + y * np.cos(turn),
        centre[1] + x * np.cos(turn) - y * np.sin(turn),
    )


def coloured(mask: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """A bright colour for every nucleus, on black."""
    palette = np.random.default_rng(1).integers(90, 256, (int(mask.max()) + 1, 3), dtype=np.uint8)
    palette[0] = 0
    return palette[mask]


def sheet(titles: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]]) -> Image.Image:
    """Pictures of one size side by side, a row a line, below their titles."""
    step = SIDE + 6
    canvas = Image.new("RGB", (len(titles) * step - 6, 22 + len(rows) * step - 6), "white")
    for column, name in enumerate(titles):
        ImageDraw.Draw(canvas).text((column * step + 4, 5), name, fill="black")
    for line, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            canvas.paste(Image.fromarray(picture), (column * step, 22 + line * step))
    return canvas


def overview(synthesizer: Synthesizer) -> Image.Image:
    """Mask, style image, tile; the style images are written to this folder."""
    rows = []
    for row, (organ, kind) in enumerate(ROWS):
        preset = synthesizer.styles.pick(organ, seed=row)
        reference = synthesizer.synthesize(draw_mask("scattered", 100 + row), preset, seed=row)
        (HERE / f"style-{organ}.png").write_bytes(encode_png(reference, {"synthetic": "true"}))
        mask = draw_mask(kind, 200 + row)
        tile = synthesizer.synthesize(mask, synthesizer.encode_style(reference), seed=7)
        rows.append([coloured(mask), reference, tile])
    return sheet(("instance mask", "style image (synthetic)", "tile"), rows)


def organs(synthesizer: Synthesizer) -> Image.Image:
    """Every example mask in every preset."""
    rows = []
    for number, kind in enumerate(KINDS):
        mask = draw_mask(kind, number)
        tiles = [
            synthesizer.synthesize(mask, synthesizer.styles.pick(organ, seed=number), seed=number)
            for organ in synthesizer.styles.organs
        ]
        rows.append([coloured(mask), *tiles])
    return sheet(("instance mask", *synthesizer.styles.organs), rows)


def main() -> None:
    synthesizer = Synthesizer.load(CHECKPOINT)
    for number, kind in enumerate(KINDS):
        (HERE / f"mask-{kind}.png").write_bytes(write_mask(draw_mask(kind, number), "png"))
    PICTURES.mkdir(parents=True, exist_ok=True)
    overview(synthesizer).save(PICTURES / "overview.png", optimize=True)
    organs(synthesizer).save(PICTURES / "organs.jpg", quality=88)


if __name__ == "__main__":
    main()
