"""A table as JSON, and as a page that has the paper's printed values beside the measured ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.files import write_whole
from training.evaluation.tiles import stride_of
from training.experiments import printed
from training.experiments.columns import Column
from training.experiments.given import GIVEN
from training.experiments.kinds import KINDS, TableKind
from training.experiments.orderings import orderings, orderings_section
from training.experiments.rows import Row
from training.experiments.scale import Scale
from training.methods import METHODS
from training.results import write_results

_CHOSEN_ON_TEST = (
    "Some choices of SIAN release were made by these test tiles (docs/results.md); the methods of "
    "the paper were not tuned by them. "
)

_GIVEN_ON_TEST = (
    "Whether the checkpoint was chosen by these test tiles is for those to say who give it; the "
    "one that is served was, in part. "
)

_ONE_SEED = (
    "A row of one seed shows no spread: a difference within that of SIAN and SPADE says nothing. "
)


def write_report(
    folder: Path,
    name: str,
    rows: Sequence[Row],
    scale: Scale,
    *,
    command: str,
    threads: int,
    where: Mapping[str, str] | None = None,
    methods: Sequence[str] = tuple(METHODS),
    among: Sequence[str] = tuple(METHODS),
    given: str | None = None,
) -> tuple[Path, Path]:
    """Write ``name``-<scale>.json and .md in ``folder``; returns both paths.

    where: facts of the sitting. methods, among, given: as of ``stem_of``.
    """
    stem = stem_of(name, scale, methods, among=among, given=given)
    json_path, page_path = folder / f"{stem}.json", folder / f"{stem}.md"
    write_results(
        json_path,
        [row.to_json() for row in rows],
        command=command,
        threads=threads,
        **(where or {}),
        scale=asdict(scale),
        tiling=tiling_of(scale),
        **_orderings(KINDS[name], rows),
    )
    write_whole(page_path, page(KINDS[name], rows, scale, command))
    return json_path, page_path


def tiling_of(scale: Scale) -> dict[str, int]:
    """How slides were cut into tiles."""
    return {"tile_px": scale.tile_px, "stride_px": stride_of(scale.tile_px)}


def _orderings(kind: TableKind, rows: Sequence[Row]) -> dict[str, Any]:
    return {"orderings": [each.to_json() for each in orderings(rows)]} if kind.ordered else {}


def stem_of(
    name: str,
    scale: Scale,
    methods: Sequence[str],
    *,
    among: Sequence[str] = tuple(METHODS),
    given: str | None = None,
) -> str:
    """Of the file of a table or figure, without its suffix.

    Where it is of some ``methods`` only ``among`` those that it may have, the name ends with
    theirs, and with the label of a checkpoint that was ``given``: it replaces no other one.
    """
    is_whole = set(among) <= set(methods)
    chosen = [each for each in among if each in methods] if not is_whole else []
    if given:
        chosen += ["all", given] if is_whole else [given]
    return "-".join([name, scale.stem, *chosen])


def page(kind: TableKind, rows: Sequence[Row], scale: Scale, command: str) -> str:
    """The table in Markdown: mean, and standard deviation over seeds; the paper's in brackets."""
    columns = [c for c in kind.columns if any(_cell(row, c, kind) for row in rows)]
    header = ["method", *(fact.replace("_", " ") for fact in kind.facts), "seeds"]
    header += [column.title for column in columns]
    lines = [
        f"# {kind.title}",
        "",
        _budget(kind, rows, scale),
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for row in rows:
        cells = [row.title, *(_plain(row.facts.get(fact)) for fact in kind.facts)]
        cells.append(str(len(row.seeds)))
        cells += [_cell(row, column, kind) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", _legend(columns, rows) + kind.notes, ""]
    if kind.ordered:
        lines += orderings_section(rows)
    lines += ["```sh", command, "```", ""]
    return "\n".join(lines)


def _budget(kind: TableKind, rows: Sequence[Row], scale: Scale) -> str:
    """What every method, and the SegNets, were trained for, and on what they are judged."""
    width = f"width {scale.width}"
    if kind.own_width and not scale.shrink_compact:
        width = f"the release network's own width, discriminators of {width}"
    text = (
        f"Scale `{scale.name}`: {' '.join(filter(None, (scale.note, scale.caveat)))} Generators: "
        f"{width}, {scale.steps} steps of {scale.batch} crops of {scale.crop_px} px."
    )
    if kind.on_test and _has_release(rows):
        own = "" if scale.shrink_compact else "its own width, "
        text += (
            f" SIAN release has {own}crops at random places, stain augmentation, and two more "
            "discriminators: one on VGG19 features, and one of pixel classes, which are those that "
            "SegNet learns."
        )
    text += _otherwise(rows, scale)
    if kind.segnet:
        segnet = scale.segnet_config(augment=True, seed=0)
        text += (
            f" SegNet: width {segnet.width}, {segnet.steps} steps of {segnet.batch_size} crops of "
            f"{segnet.crop_px} px."
        )
    tiling = tiling_of(scale)
    if kind.whole_slides:
        return (
            f"{text} Where tiles are added, of {tiling['tile_px']} px a side, "
            f"{scale.synthetic_share:.0%} of the crops are of these."
        )
    return f"{text} Judged tiles: {tiling['tile_px']} px a side, {tiling['stride_px']} px apart."


def _otherwise(rows: Sequence[Row], scale: Scale) -> str:
    """What the checkpoint that was given was trained for."""
    row = next((row for row in rows if row.name == GIVEN), None)
    if row is None:
        return ""
    known = row.facts[GIVEN]
    before = f", after {known['steps_before']} before them" if known["steps_before"] else ""
    told = (
        f"{known['steps']} steps of {known['batch']} crops of {known['crop_px']} px{before}"
        if all(known[key] for key in ("steps", "batch", "crop_px"))
        else "its card does not tell how long"
    )
    text = f" Trained otherwise: {row.title.removeprefix('+ ')} ({known['sha256'][:8]}), {told}."
    if known["start"] == "style" and known["crop_px"] != scale.tile_px:
        text += f" The square that it starts from was stretched to tiles of {scale.tile_px} px."
    return text


def _has_release(rows: Sequence[Row]) -> bool:
    return any(row.name == "sian-release" for row in rows)


def _legend(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """How a cell is to be read, as far as the table has such cells."""
    text = ""
    if any(len(row.seeds) > 1 for row in rows):
        text += (
            "Behind ±: the standard deviation over the seeds (divisor: seeds - 1); a row of one "
            "seed has none. "
        )
    if any(row.name in {*METHODS, GIVEN} and len(row.seeds) == 1 for row in rows):
        text += _ONE_SEED
    if _has_release(rows):
        text += _CHOSEN_ON_TEST
    if any(row.name == GIVEN for row in rows):
        text += _GIVEN_ON_TEST
    if any(column.printed and column.measure for column in columns):
        text += "In brackets: the value that the paper prints. "
    return text


def _cell(row: Row, column: Column, kind: TableKind) -> str:
    said = _printed(row, column, kind)
    if column.measure is None:
        return "" if said is None else f"{said:.{column.digits}f}"
    mean, deviation = row.mean(column.measure), row.deviation(column.measure)
    if mean is None:
        return ""
    text = column.text(mean)
    if deviation is not None and column.deviation:
        text += f" ± {column.text(deviation)}"
    return text if said is None else f"{text} ({said:.{column.digits}f})"


def _printed(row: Row, column: Column, kind: TableKind) -> float | None:
    if column.printed is None:
        return None
    if "organ" in kind.facts:
        return printed.TABLE_2.get(row.name, {}).get(row.facts["organ"])
    return kind.printed.get(row.name, {}).get(column.printed)


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
