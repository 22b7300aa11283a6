"""Makes the example masks and style images, and the pictures in the documentation.

    python examples/make_examples.py --out FOLDER

Everything here is the project's own: the masks are drawn by the functions below, the style
images are synthetic tiles of the served checkpoint. The same checkpoint gives the same pixels on
the same machine; their bytes depend on the libraries that compress them.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.draw import polygon

from model.formats import write_mask
from model.images import encode_png
from model.synthesizer import Synthesizer

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "checkpoints" / "sian-release.safetensors"

SIDE = 256
# Of a mask: number of nuclei, mean radius in px, elongation, how strongly they cluster.
KINDS = {
    "scattered": (38, 10.0, 1.25, 0.0),
    "crowded": (85, 9.0, 1.2, 0.5),
    "spindle": (48, 9.0, 2.6, 0.1),
}
STYLES = ("breast", "kidney", "prostate", "colon", "stomach")
# Of the overview: organ of the style image, kind and seed of the mask.
EXAMPLES = (("prostate", "spindle", 1), ("kidney", "scattered", 3))
OVERVIEW_TILE, OVERVIEW_THUMB, GAP = 384, 176, 8
CAPTION = 32


def draw_mask(kind: str, seed: int, side: int = SIDE) -> NDArray[np.uint16]:
    """An instance mask (side, side) of smooth outlines; touching nuclei, no overlaps."""
    count, mean_radius, elongation, clustering = KINDS[kind]
    count = round(count * (side / SIDE) ** 2)
    rng = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint16)
    centres: list[NDArray[np.float64]] = []
    label = 0
    while label < count:
        centre = rng.uniform(-5, side + 5, 2)
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


def caption(canvas: Image.Image, left: int, top: int, text: str) -> None:
    """Write into the ``CAPTION`` pixels below ``top``."""
    ImageDraw.Draw(canvas).text(
        (left, top + CAPTION // 2), text, fill="black", anchor="lm", font=ImageFont.load_default(21)
    )


def style_images(synthesizer: Synthesizer) -> dict[str, NDArray[np.uint8]]:
    """By organ: a tile in one of the organ's presets, (256, 256, 3)."""
    return {
        organ: synthesizer.synthesize(
            draw_mask("scattered", 100 + number),
            synthesizer.styles.pick(organ, seed=number),
            seed=number,
        )
        for number, organ in enumerate(STYLES)
    }


def overview(synthesizer: Synthesizer, references: dict[str, NDArray[np.uint8]]) -> Image.Image:
    """For each of the examples a mask above a style image, and the tile beside them."""
    width = OVERVIEW_THUMB + GAP + OVERVIEW_TILE
    step = width + 4 * GAP
    size = (len(EXAMPLES) * step - 4 * GAP, CAPTION + OVERVIEW_TILE)
    canvas = Image.new("RGB", size, "white")
    for number, (organ, kind, seed) in enumerate(EXAMPLES):
        mask = draw_mask(kind, seed, OVERVIEW_TILE)
        style = synthesizer.encode_style(references[organ])
        tile = synthesizer.synthesize(mask, style, seed=seed)
        left = number * step
        below = CAPTION + OVERVIEW_TILE - OVERVIEW_THUMB
        thumb = (OVERVIEW_THUMB, OVERVIEW_THUMB)
        # The style is shown at the scale of the tile, the mask as a whole.
        canvas.paste(Image.fromarray(coloured(mask)).resize(thumb), (left, CAPTION))
        canvas.paste(
            Image.fromarray(references[organ][:OVERVIEW_THUMB, -OVERVIEW_THUMB:]), (left, below)
        )
        canvas.paste(Image.fromarray(tile), (left + OVERVIEW_THUMB + GAP, CAPTION))
        caption(canvas, left, 0, "instance mask")
        caption(canvas, left, below - CAPTION, f"style: {organ}")
        caption(canvas, left + OVERVIEW_THUMB + GAP, 0, f"tile: {kind} nuclei, {organ} style")
    return canvas


def organs(synthesizer: Synthesizer) -> Image.Image:
    """Every example mask in every preset."""
    step = SIDE + GAP
    titles = ("instance mask", *synthesizer.styles.organs)
    size = (len(titles) * step - GAP, CAPTION + len(KINDS) * step - GAP)
    canvas = Image.new("RGB", size, "white")
    for column, title in enumerate(titles):
        caption(canvas, column * step, 0, title)
    for row, kind in enumerate(KINDS):
        mask = draw_mask(kind, row)
        pictures = [coloured(mask)]
        for column, organ in enumerate(synthesizer.styles.organs):
            style = synthesizer.styles.pick(organ, seed=row)
            pictures.append(synthesizer.synthesize(mask, style, seed=10 * row + column))
        for column, picture in enumerate(pictures):
            canvas.paste(Image.fromarray(picture), (column * step, CAPTION + row * step))
    return canvas


def main(
    out: Annotated[
        Path, typer.Option(help="Folder that gets examples/ and docs/images/.", show_default="here")
    ] = ROOT,
) -> None:
    """Make the example masks, the style images and the pictures of the documentation."""
    examples, pictures = out / "examples", out / "docs" / "images"
    for folder in (examples, pictures):
        folder.mkdir(parents=True, exist_ok=True)
    synthesizer = Synthesizer.load(CHECKPOINT)
    for number, kind in enumerate(KINDS):
        (examples / f"mask-{kind}.png").write_bytes(write_mask(draw_mask(kind, number), "png"))
    references = style_images(synthesizer)
    for organ, image_u8 in references.items():
        png = encode_png(image_u8, {"synthetic": "true"})
        (examples / f"style-{organ}.png").write_bytes(png)
    overview(synthesizer, references).save(pictures / "overview.png", optimize=True)
    organs(synthesizer).save(pictures / "organs.jpg", quality=88)


if __name__ == "__main__":
    typer.run(main)
