"""Which of the orderings that the paper prints in its table 1 were found again, and which the
other way round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from training.experiments.columns import FID_768, FID_2048, KID, PANOPTIC, SSIM, Column
from training.experiments.printed import TABLE_1
from training.experiments.rows import Row
from training.methods import METHODS

# The paper's reconstruction measures imply a style from the tile itself (docs/choices.md).
_SOURCES = ("same", "none")

Verdict = Literal["as printed", "reversed", "ahead", "behind", "open"]


@dataclass(frozen=True)
class _Compared:
    """A column, what the paper prints for it, and the sign of better. KID is held against the
    printed FID: both order by the distance to real tiles."""

    column: Column
    printed: str
    sign: int


_COMPARED = (
    _Compared(FID_768, "fid", -1),
    _Compared(FID_2048, "fid", -1),
    _Compared(KID, "fid", -1),
    *(_Compared(column, str(column.printed), 1) for column in (SSIM, *PANOPTIC)),
)

# All pairs of the paper's rows, SIAN's first; then what is served, against each.
_PAPER = tuple(TABLE_1)
PAIRS = (
    *((_PAPER[k], other) for k in range(len(_PAPER) - 1, 0, -1) for other in _PAPER[k - 1 :: -1]),
    *(("sian-release", other) for other in reversed(_PAPER)),
)


@dataclass(frozen=True)
class Ordering:
    """Two methods by one measure.

    gain: how much better the first was, in the units of the measure. printed_gain: the same in the
    paper, by FID for all distances; None where it has not both. margin: what the chance of seeds
    exceeds once in twenty between methods that are alike.
    """

    first: str
    second: str
    measure: str
    gain: float
    printed_gain: float | None
    margin: float

    @property
    def verdict(self) -> Verdict:
        """``open`` when the gain lies within the margin."""
        if abs(self.gain) <= self.margin:
            return "open"
        if self.printed_gain is None:
            return "ahead" if self.gain > 0 else "behind"
        return "as printed" if self.gain * self.printed_gain > 0 else "reversed"

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "verdict": self.verdict}


def orderings(rows: Sequence[Row]) -> list[Ordering]:
    """Every pair of methods that has rows, by every measure that both have.

    The margin is Student's, at 95 %, with the variance over seeds pooled over the rows that have
    several; a row of one seed is taken to vary as they do. None where no row has several seeds.
    """
    by_name = {row.name: row for row in rows if row.facts.get("style_source") in _SOURCES}
    found = []
    for compared in _COMPARED:
        measure = str(compared.column.measure)
        unit = _unit_margin(list(by_name.values()), measure)
        if unit is None:
            continue
        for first, second in PAIRS:
            if first not in by_name or second not in by_name:
                continue
            pair = by_name[first], by_name[second]
            here, there = (row.mean(measure) for row in pair)
            if here is None or there is None:
                continue
            margin = unit * float(np.sqrt(sum(1 / len(row.seeds) for row in pair)))
            gain, printed = compared.sign * (here - there), _printed_gain(first, second, compared)
            found.append(Ordering(first, second, measure, gain, printed, margin))
    return found


def _unit_margin(rows: Sequence[Row], measure: str) -> float | None:
    """The margin of a difference whose variance is that of one seed."""
    several = [
        [values[measure] for values in row.values]
        for row in rows
        if len(row.seeds) > 1 and measure in row.values[0]
    ]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return None
    squares = sum((len(values) - 1) * float(np.var(values, ddof=1)) for values in several)
    return float(stats.t.ppf(0.975, freedom) * np.sqrt(squares / freedom))


def _printed_gain(first: str, second: str, compared: _Compared) -> float | None:
    if first not in TABLE_1 or second not in TABLE_1:
        return None
    return compared.sign * (TABLE_1[first][compared.printed] - TABLE_1[second][compared.printed])


_NOTES = (
    "How much better the first method was; in brackets the margin, and how much better the paper "
    "has it, by its FID for every distance. *As printed*, *reversed*: the difference exceeds the "
    "margin, in the paper's direction or against it; *ahead*, *behind*: likewise, and the paper "
    "does not have both. *Open*: it does not. The margin is Student's t at 95 %, with the variance "
    "over seeds pooled over the methods that have several; a method of one seed is taken to vary "
    "as they do. It is for the seeds of the generators alone: other slides, or another SegNet, "
    "could move DQ, SQ and PQ by more. Between methods that are alike one cell in twenty would "
    "exceed it, and the cells of a row or a column are not independent. Style from the tile "
    "itself, as the paper's measures imply."
)


def orderings_section(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown, the last one empty; none when no ordering can be told."""
    found = {(each.first, each.second, each.measure): each for each in orderings(rows)}
    shown = [c for c in _COMPARED if any(key[2] == c.column.measure for key in found)]
    if not shown:
        return []
    lines = [
        "## The paper's orderings",
        "",
        _NOTES,
        "",
        "| | " + " | ".join(compared.column.title for compared in shown) + " |",
        "|" + "---|" * (len(shown) + 1),
    ]
    for first, second in PAIRS:
        cells = [_cell(found.get((first, second, str(c.column.measure))), c) for c in shown]
        if any(cells):
            name = f"{METHODS[first].title} over {METHODS[second].title}"
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(one: Ordering | None, compared: _Compared) -> str:
    if one is None:
        return ""
    brackets = compared.column.text(one.margin)
    if one.printed_gain is not None:
        digits = 1 if compared.printed == "fid" else compared.column.digits
        brackets += f"; {one.printed_gain:+.{digits}f}"
    return f"{one.verdict}: {compared.column.text(one.gain, signed=True)} ({brackets})"
