"""A table as JSON, and as a page that has the paper's printed values beside the measured ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.evaluation.tiles import stride_of
from training.experiments import printed
from training.experiments.columns import (
    APPEARANCE,
    DISTANCES,
    KID_ERROR,
    QUALITY,
    SSIM,
    Column,
)
from training.experiments.given import GIVEN
from training.experiments.orderings import orderings, orderings_section
from training.experiments.rows import Row
from training.experiments.scale import Scale
from training.methods import METHODS
from training.results import write_results


@dataclass(frozen=True)
class TableKind:
    """What is printed of a table: its title, columns, and the paper's values by row name.

    segnet: a SegNet takes part in it. own_width: its generators are compact, as they are.
    on_test: the test slides are judged. ordered: it is said which of the paper's orderings hold.
    """

    title: str
    columns: tuple[Column, ...]
    printed: dict[str, dict[str, float]]
    facts: tuple[str, ...]
    notes: str
    segnet: bool = True
    own_width: bool = False
    on_test: bool = True
    ordered: bool = False


_ON_DISTANCES = (
    "FID-768, -1280 and -2048 are Frechet distances between features of the Inception of 2015 "
    "(Mixed_6e, Mixed_7a, pool3), FID-Lite0 between those of EfficientNet-Lite0; the paper's are "
    "of the 2048 features, of an unknown number of tiles. Much of a Frechet distance of so few "
    "tiles is bias, less of it for a method whose tiles vary less: it can put a poorer method "
    "first. KID-768, the kernel distance between the 768 features, has no such bias. Its spread is "
    "the standard deviation over 100 random subsets of half the tiles, for these slides only, a "
    "mean over the seeds. "
)

_OVER_SLIDES = (
    "The error of KID over slides, the jackknife's, says how far other slides could have moved it; "
    "a mean over the seeds. "
)

_ON_APPEARANCE = (
    "Lab distance, gradient energy and haematoxylin AUC as in `sian evaluate`; in the last row of "
    "real tiles, those of the judged tiles themselves. "
)

_CHOSEN_ON_TEST = (
    "Some choices of SIAN release were made by these test tiles (docs/results.md); no other method "
    "was tuned by them. "
)

_ONE_SEED = (
    "A row of one seed shows no spread: a difference within that of SIAN and SPADE says nothing. "
)

KINDS: dict[str, TableKind] = {
    "table1": TableKind(
        "Table 1: image quality on the test slides",
        (*DISTANCES, SSIM, *QUALITY, *APPEARANCE),
        printed.TABLE_1,
        ("style_source", "tiles"),
        _ON_DISTANCES
        + _OVER_SLIDES
        + "Style: `same`, the real tile of the mask, as the paper's reconstruction measures imply; "
        "`slide`, another tile of its slide; `none`, the method takes no style. DQ, SQ, PQ and AJI "
        "are of a SegNet trained on real training tiles, applied to the synthetic tiles and scored "
        "against the masks these were drawn from, tile by tile; another SegNet could order them "
        "otherwise. "
        + _ON_APPEARANCE
        + "They are taken against another tile of the slide in every row: a method that does not "
        "follow the style is far from it.",
        ordered=True,
    ),
    "ablations": TableKind(
        "Ablations of the release network, on training slides that were set aside",
        (*DISTANCES, SSIM, *QUALITY, *APPEARANCE),
        {},
        ("style_source", "tiles"),
        _ON_DISTANCES
        + _OVER_SLIDES
        + "The last training slide of every organ that has two was set aside: nothing saw it, and "
        "its tiles are judged, each drawn from its mask in the style of another tile of its slide. "
        "The test slides take no part. DQ, SQ, PQ and AJI as in table 1. "
        + _ON_APPEARANCE
        + "By chance alone one run in twenty lies more than five standard deviations of three runs "
        "from their mean (Student's t, 2 degrees of freedom), in each of the columns: a row of one "
        "seed says little unless it differs from `release` by more than that.",
        own_width=True,
        on_test=False,
    ),
    "table2": TableKind(
        "Table 2: distances by organ",
        tuple(column for column in DISTANCES if column != KID_ERROR),
        {},
        ("organ", "style_source", "slides", "tiles"),
        _ON_DISTANCES
        + "An organ has far fewer tiles than there are features, of one to three slides, which are "
        "too few to tell how far other slides could have moved its KID: compare by KID, and no "
        "closer than the rows of real tiles suggest. An organ with one judged tile has no row.",
        segnet=False,
        ordered=True,
    ),
    "table3": TableKind(
        "Table 3: SegNet with synthetic training tiles, on the real test tiles",
        QUALITY,
        printed.TABLE_3,
        ("synthetic",),
        "Every row from the second on has traditional augmentation. All SegNets take the same "
        "number of steps: with synthetic tiles they see each real one less often, which can cost "
        "more than the added tiles bring. Scores are means over tiles, at whose borders nuclei are "
        "cut.",
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
    among: Sequence[str] = tuple(METHODS),
) -> tuple[Path, Path]:
    """Write ``name``-<scale>.json and .md in ``folder``; returns both paths.

    The name of a table of some ``methods`` only ``among`` those it may have ends with theirs, so
    that it replaces no whole one.
    """
    stem = "-".join([name, scale.stem, *some_of(methods, among)])
    json_path, page_path = folder / f"{stem}.json", folder / f"{stem}.md"
    write_results(
        json_path,
        [row.to_json() for row in rows],
        command=command,
        threads=threads,
        scale=asdict(scale),
        tiling=tiling_of(scale),
        **_orderings(KINDS[name], rows),
    )
    page_path.write_text(page(KINDS[name], rows, scale, command), encoding="utf-8")
    return json_path, page_path


def tiling_of(scale: Scale) -> dict[str, int]:
    """How slides were cut into tiles."""
    return {"tile_px": scale.tile_px, "stride_px": stride_of(scale.tile_px)}


def _orderings(kind: TableKind, rows: Sequence[Row]) -> dict[str, Any]:
    return {"orderings": [each.to_json() for each in orderings(rows)]} if kind.ordered else {}


def some_of(methods: Sequence[str], among: Sequence[str] = tuple(METHODS)) -> list[str]:
    """The methods as part of a file's name: none where they are all."""
    return [] if set(among) <= set(methods) else [each for each in among if each in methods]


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
            f" SIAN release has {own}crops at random places, stain augmentation, and a "
            "discriminator on VGG19 features besides."
        )
    text += "".join(_otherwise(row) for row in {r.name: r for r in rows}.values())
    if kind.segnet:
        segnet = scale.segnet_config(augment=True, seed=0)
        text += (
            f" SegNet: width {segnet.width}, {segnet.steps} steps of {segnet.batch_size} crops of "
            f"{segnet.crop_px} px."
        )
    tiling = tiling_of(scale)
    return f"{text} Judged tiles: {tiling['tile_px']} px a side, {tiling['stride_px']} px apart."


def _otherwise(row: Row) -> str:
    """What a checkpoint that was given was trained for."""
    if GIVEN not in row.facts:
        return ""
    known = row.facts[GIVEN]
    told = (
        f"{known['steps']} steps of {known['batch']} crops of {known['crop_px']} px"
        if all(known[key] for key in ("steps", "batch", "crop_px"))
        else "its card does not tell how long"
    )
    return f" Trained otherwise: {row.title.removeprefix('+ ')} ({known['sha256'][:8]}), {told}."


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
