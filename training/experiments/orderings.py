"""Which of the orderings that the paper prints in tables 1 and 2 were found again, and which the
other way round."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from training.experiments.columns import (
    FID_768,
    FID_1280,
    FID_2048,
    FID_LITE0,
    KID,
    PANOPTIC,
    SSIM,
    Column,
)
from training.experiments.given import GIVEN
from training.experiments.printed import TABLE_1, TABLE_2
from training.experiments.rows import Row

# The paper's reconstruction measures imply a style from the tile itself (docs/choices.md).
_SOURCES = ("same", "none")

Verdict = Literal["as printed", "reversed", "ahead", "behind", "open"]


@dataclass(frozen=True)
class _Compared:
    """A column, what the paper prints for it, and the sign of better. Every distance to real
    tiles is held against the printed FID."""

    column: Column
    printed: str
    sign: int


_COMPARED = (
    *(_Compared(column, "fid", -1) for column in (FID_768, FID_1280, FID_2048, FID_LITE0, KID)),
    *(_Compared(column, str(column.printed), 1) for column in (SSIM, *PANOPTIC)),
)

# All pairs of the paper's rows, SIAN's first; then the release network, and a checkpoint that was
# given, against each.
_PAPER = tuple(TABLE_1)
PAIRS = (
    *((_PAPER[k], other) for k in range(len(_PAPER) - 1, 0, -1) for other in _PAPER[k - 1 :: -1]),
    *((ours, other) for ours in ("sian-release", GIVEN) for other in reversed(_PAPER)),
)

# Of an organ: against SPADE, the one that the paper sets out from.
_BY_ORGAN = tuple((ours, "spade") for ours in ("sian", "sian-release", GIVEN))


@dataclass(frozen=True)
class Ordering:
    """Two methods by one measure, of an organ or of all.

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
    organ: str | None = None

    @property
    def verdict(self) -> Verdict:
        """``open`` when the gain lies within the margin."""
        if abs(self.gain) <= self.margin:
            return "open"
        if self.printed_gain is None:
            return "ahead" if self.gain > 0 else "behind"
        return "as printed" if self.gain * self.printed_gain > 0 else "reversed"

    def to_json(self) -> dict[str, Any]:
        """Without ``organ`` where it is of all."""
        facts = {key: value for key, value in vars(self).items() if key != "organ" or value}
        return {**facts, "verdict": self.verdict}


def orderings(rows: Sequence[Row]) -> list[Ordering]:
    """Every pair of methods that has rows, by every measure that both have; where rows are of an
    organ, SIAN in its forms over SPADE in each.

    The margin is Student's, at 95 %, with the variance over seeds pooled over the rows that have
    several; a row of one seed is taken to vary as they do. None where no row has several seeds.
    """
    by_organ: dict[str | None, dict[str, Row]] = {}
    for row in rows:
        if row.facts.get("style_source") in _SOURCES:
            by_organ.setdefault(row.facts.get("organ"), {})[row.name] = row
    return [
        each
        for organ, by_name in by_organ.items()
        for compared in _COMPARED
        for each in _by_measure(by_name, compared, organ)
    ]


def _by_measure(
    by_name: dict[str, Row], compared: _Compared, organ: str | None
) -> Iterator[Ordering]:
    measure = str(compared.column.measure)
    unit = _unit_margin(list(by_name.values()), measure)
    if unit is None:
        return
    for first, second in PAIRS if organ is None else _BY_ORGAN:
        if first not in by_name or second not in by_name:
            continue
        pair = by_name[first], by_name[second]
        here, there = (row.mean(measure) for row in pair)
        if here is None or there is None:
            continue
        margin = unit * float(np.sqrt(sum(1 / len(row.seeds) for row in pair)))
        printed = _printed_gain(first, second, compared, organ)
        yield Ordering(
            first, second, measure, compared.sign * (here - there), printed, margin, organ
        )


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


def _printed_gain(first: str, second: str, compared: _Compared, organ: str | None) -> float | None:
    table, key = (TABLE_1, compared.printed) if organ is None else (TABLE_2, organ)
    here, there = (table.get(method, {}).get(key) for method in (first, second))
    return None if here is None or there is None else compared.sign * (here - there)


_NOTES = (
    "How much better the first method was; in brackets the margin, and how much better the paper "
    "has it, by its FID for every distance. *As printed*, *reversed*: the difference exceeds the "
    "margin, in the paper's direction or against it; *ahead*, *behind*: likewise, and the paper "
    "does not have both. *Open*: it does not. The margin is Student's t at 95 %, with the variance "
    "over seeds pooled over the methods that have several; a method of one seed is taken to vary "
    "as they do. It is for the seeds of the generators alone: other slides could move the values "
    "by more. Between methods that are alike one cell in twenty would exceed it, and the cells of "
    "a row or a column are not independent. Style from the tile itself, as the paper's measures "
    "imply."
)


def orderings_section(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown, the last one empty; none when no ordering can be told."""
    lines: dict[tuple[str, str, str | None], dict[str, Ordering]] = {}
    for each in orderings(rows):
        lines.setdefault((each.first, each.second, each.organ), {})[each.measure] = each
    shown = [c for c in _COMPARED if any(c.column.measure in line for line in lines.values())]
    if not shown:
        return []
    titles = {row.name: row.title for row in rows}
    text = [
        "## The paper's orderings",
        "",
        _NOTES,
        "",
        "| | " + " | ".join(compared.column.title for compared in shown) + " |",
        "|" + "---|" * (len(shown) + 1),
    ]
    for first, second, organ in sorted(lines, key=_printed_order):
        line = lines[first, second, organ]
        cells = [_cell(line.get(str(c.column.measure)), c) for c in shown]
        name = f"{titles[first]} over {titles[second]}"
        name += f", {organ}" if organ else ""
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*text, ""]


def _printed_order(line: tuple[str, str, str | None]) -> tuple[int, str]:
    first, second, organ = line
    return PAIRS.index((first, second)), organ or ""


def _cell(one: Ordering | None, compared: _Compared) -> str:
    if one is None:
        return ""
    brackets = compared.column.text(one.margin)
    if one.printed_gain is not None:
        digits = 1 if compared.printed == "fid" else compared.column.digits
        brackets += f"; {one.printed_gain:+.{digits}f}"
    return f"{one.verdict}: {compared.column.text(one.gain, signed=True)} ({brackets})"
