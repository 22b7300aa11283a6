"""The evaluation on paper: tables, and a sheet of pictures."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich import box
from rich.table import Table

from model.files import whole
from training.evaluation.rows import Row

_GAP_PX = 4
_TITLE_PX = 20


def as_table(rows: Sequence[Row], title: str, *, meanings: bool) -> Table:
    """The rows that cover all organs, each with its target and verdict."""
    table = Table("measure", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("value", "real", "target"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    if meanings:
        table.add_column("meaning", overflow="fold")
    verdicts = {None: "", True: "[green]pass[/green]", False: "[red]MISS[/red]"}
    for row in rows:
        if row.organ is None:
            real = "" if row.real is None else f"{row.real:.3f}"
            cells = [row.measure, f"{row.value:.3f}", real, row.target or "", verdicts[row.passed]]
            table.add_row(*cells, *([row.meaning] if meanings else []))
    return table


def as_organ_table(rows: Sequence[Row]) -> Table:
    """Medians by organ: synthetic, and real in brackets."""
    by_organ: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.organ is not None:
            cell = f"{row.value:.3f} ({row.real:.3f})"
            by_organ.setdefault(row.organ, {})[row.measure] = cell
    measures = list(next(iter(by_organ.values()), {}))
    table = Table("organ", *measures, title="Medians, real in brackets", box=box.SIMPLE_HEAD)
    for organ, cells in by_organ.items():
        table.add_row(organ, *(cells[measure] for measure in measures))
    return table


def write_sheet(
    path: Path, titles: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]]
) -> None:
    """A PNG with one line of RGB pictures (S, S, 3) a row, all of one size, below titles."""
    side = rows[0][0].shape[0]
    step = side + _GAP_PX
    size = (len(titles) * step - _GAP_PX, _TITLE_PX + len(rows) * step - _GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((column * step + _GAP_PX, _GAP_PX), title, fill="black")
    for line, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (column * step, _TITLE_PX + line * step))
    with whole(path) as partial:
        sheet.save(partial, format="PNG")


def colour_instances(mask_labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """An instance mask (H, W) as a picture: a fixed bright colour an id on black."""
    ids, inverse = np.unique(mask_labels, return_inverse=True)
    colours = np.random.default_rng(0).integers(80, 256, (len(ids), 3), dtype=np.uint8)
    colours[ids == 0] = 0
    return np.asarray(colours[inverse.reshape(mask_labels.shape)], dtype=np.uint8)


def portable(path: Path) -> str:
    """The path as seen from the working folder, so that results name no one's home."""
    return os.path.relpath(path)
