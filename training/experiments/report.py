"""A table as JSON, and as a page that has the paper's printed values beside the measured ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.experiments import printed
from training.experiments.rows import Row
from training.experiments.scale import Scale
from training.methods import METHODS
from training.results import write_results


@dataclass(frozen=True)
class Column:
    """measure: its key in the rows. printed: its key in the paper's table, None if not there."""

    title: str
    measure: str
    printed: str | None = None
    digits: int = 3


@dataclass(frozen=True)
class TableKind:
    """What is printed of a table: its title, columns, and the paper's values by row name."""

    title: str
    columns: tuple[Column, ...]
    printed: dict[str, dict[str, float]]
    facts: tuple[str, ...]
    notes: str


_QUALITY = (
    Column("DQ", "dq", "dq"),
    Column("SQ", "sq", "sq"),
    Column("PQ", "pq", "pq"),
    Column("AJI", "aji"),
)

KINDS: dict[str, TableKind] = {
    "table1": TableKind(
        "Table 1: image quality on the test slides",
        (
            Column("FID-768", "fid_768", None),
            Column("FID", "fid_2048", "fid", 1),
            Column("KID x 1000", "kid"),
            Column("SSIM", "ssim", "ssim"),
            *_QUALITY,
        ),
        printed.TABLE_1,
        ("style_source",),
        "Style: `same`, the real tile of the mask, as the paper's reconstruction measures imply; "
        "`slide`, another tile of its slide; `none`, the method takes no style. DQ, SQ, PQ and AJI "
        "are of a SegNet trained on real training tiles, applied to the synthetic tiles and scored "
        "against the masks these were drawn from, tile by tile. The paper's FID is of 2048 "
        "features and cannot be compared with distances in other spaces.",
    ),
    "table2": TableKind(
        "Table 2: distances by organ",
        (
            Column("FID-768", "fid_768", None),
            Column("FID", "fid_2048", "fid", 1),
            Column("KID x 1000", "kid"),
        ),
        {},
        ("organ", "style_source", "tiles"),
        "An organ has 16 to 48 test tiles, far fewer than features: a Frechet distance is then "
        "mostly the bias of the small sample, the same for all methods. KID has no such bias, and "
        "a spread instead.",
    ),
    "table3": TableKind(
        "Table 3: SegNet with synthetic training tiles, on the real test tiles",
        _QUALITY,
        printed.TABLE_3,
        ("synthetic",),
        "Every row from the second on has traditional augmentation. Scores are means over tiles of "
        "256 px; nuclei are cut at the borders of the tiles.",
    ),
}


def write_report(
    folder: Path,
    name: str,
    rows: Sequence[Row],
    scale: Scale,
    *,
    command: str,
    threads: int,
    methods: Sequence[str] = tuple(METHODS),
) -> tuple[Path, Path]:
    """Write ``name``-<scale>.json and .md in ``folder``; returns both paths.

    The name of a table of some ``methods`` only ends with theirs, so that it replaces no whole one.
    """
    some = [] if set(METHODS) <= set(methods) else [m for m in METHODS if m in methods]
    stem = "-".join([name, scale.stem, *some])
    json_path, page_path = folder / f"{stem}.json", folder / f"{stem}.md"
    write_results(
        json_path,
        [row.to_json() for row in rows],
        command=command,
        threads=threads,
        scale=asdict(scale),
        tiling={"tile_px": 256, "stride_px": 248},
    )
    page_path.write_text(page(KINDS[name], rows, scale, command), encoding="utf-8")
    return json_path, page_path


def page(kind: TableKind, rows: Sequence[Row], scale: Scale, command: str) -> str:
    """The table in Markdown: mean, and standard deviation over seeds; the paper's in brackets."""
    columns = [c for c in kind.columns if any(row.mean(c.measure) is not None for row in rows)]
    header = ["method", *(fact.replace("_", " ") for fact in kind.facts), "seeds"]
    header += [column.title for column in columns]
    lines = [
        f"# {kind.title}",
        "",
        f"Scale `{scale.name}`: {scale.note} Width {scale.width}, {scale.steps} steps of "
        f"{scale.batch} crops of {scale.crop_px} px.",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for row in rows:
        cells = [row.title, *(_plain(row.facts.get(fact)) for fact in kind.facts)]
        cells.append(str(len(row.seeds)))
        cells += [_cell(row, column, kind) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "In brackets: the value that the paper prints. " + kind.notes, ""]
    lines += ["```sh", command, "```", ""]
    return "\n".join(lines)


def _cell(row: Row, column: Column, kind: TableKind) -> str:
    mean, deviation = row.mean(column.measure), row.deviation(column.measure)
    if mean is None:
        return ""
    factor = 1000 if column.measure == "kid" else 1
    text = f"{factor * mean:.{column.digits}f}"
    if deviation is not None:
        text += f" ± {factor * deviation:.{column.digits}f}"
    said = _printed(row, column, kind)
    return text if said is None else f"{text} ({said})"


def _printed(row: Row, column: Column, kind: TableKind) -> float | None:
    if column.printed is None:
        return None
    if "organ" in kind.facts:
        return printed.TABLE_2.get(row.name, {}).get(row.facts["organ"])
    return kind.printed.get(row.name, {}).get(column.printed)


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
