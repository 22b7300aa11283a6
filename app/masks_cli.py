"""What ``sian masks`` does."""

import json
import re
from pathlib import Path

from app.cli_files import write
from model.errors import ParameterInvalid
from model.formats import format_of, numbered, write_mask
from model.tiling import LARGEST_TILED_PX
from worker.random_masks import MaskRequest
from worker.request import draw_seed, tile_seed


def draw(
    out: Path, *, organ: str, size: str, statistics: str | None, seed: int | None, count: int
) -> None:
    """Write ``count`` masks and say where.

    Raises:
        ParameterInvalid, MaskTooLarge, MaskUnwritable: the one that applies.
    """
    format = format_of(out)
    width, height = parse_size(size, "--size")
    first_seed = draw_seed() if seed is None else seed
    for index in range(count):
        request = MaskRequest(
            height=height,
            width=width,
            seed=tile_seed(first_seed, index),
            organ=organ,
            statistics=_statistics(statistics),
        )
        mask = request.draw(max_side=LARGEST_TILED_PX)
        path = out if count == 1 else numbered(out, index)
        write(path, write_mask(mask, format))
        print(f"{path} ({int(mask.max())} nuclei, seed {request.seed})")


def parse_size(text: str, option: str) -> tuple[int, int]:
    """Width and height of ``256`` or ``512x256``. Raises ParameterInvalid."""
    found = re.fullmatch(r"(\d{1,5})(?:[xX](\d{1,5}))?", text.strip())
    if found is None:
        raise ParameterInvalid(
            f"{option} {text}: give a side in pixels such as 256, or WIDTHxHEIGHT such as 512x256."
        )
    width = int(found[1])
    return width, width if found[2] is None else int(found[2])


def _statistics(text: str | None) -> dict[str, float]:
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ParameterInvalid(
            '--statistics is no JSON object; give names and numbers such as {"density": 40}.'
        )
    return values
