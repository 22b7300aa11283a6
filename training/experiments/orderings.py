"""Which of the orderings that the paper prints were found again, and which the other way round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from training.experiments.printed import TABLE_1
from training.experiments.rows import Row
from training.methods import METHODS

# The paper's reconstruction measures imply a style from the tile itself (docs/choices.md).
_SOURCES = ("same", "none")

# What was measured, what the paper prints for it, and whether more is better. KID is held against
# the printed FID: both order by the distance to real tiles, and KID without the bias of few tiles.
MEASURES = (
    ("FID-768", "fid_768", "fid", -1),
    ("KID-768", "kid", "fid", -1),
    ("SSIM", "ssim", "ssim", 1),
    ("DQ", "dq", "dq", 1),
    ("SQ", "sq", "sq", 1),
    ("PQ", "pq", "pq", 1),
)

# SIAN against every other row, and each half of it alone against SPADE, which it builds on.
PAIRS = (
    *(("sian", other) for other in TABLE_1 if other != "sian"),
    ("inst", "spade"),
    ("style", "spade"),
)

Verdict = Literal["as printed", "reversed", "open"]


@dataclass(frozen=True)
class Ordering:
    """Two methods by one measure.

    gain: how much better the first was, in the units of the measure. printed_gain: the same in the
    paper. margin: what chance alone exceeds once in twenty.
    """

    first: str
    second: str
    measure: str
    gain: float
    printed_gain: float
    margin: float

    @property
    def verdict(self) -> Verdict:
        """``open`` when the gain lies within the margin."""
        if abs(self.gain) <= self.margin:
            return "open"
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
    for first, second in PAIRS:
        if first not in by_name or second not in by_name:
            continue
        pair = by_name[first], by_name[second]
        for _, measure, printed, sign in MEASURES:
            means = [row.mean(measure) for row in pair]
            margin = _margin(list(by_name.values()), pair, measure)
            if means[0] is None or means[1] is None or margin is None:
                continue
            printed_gain = sign * (TABLE_1[first][printed] - TABLE_1[second][printed])
            gain = sign * (means[0] - means[1])
            found.append(Ordering(first, second, measure, gain, printed_gain, margin))
    return found


def _margin(rows: Sequence[Row], pair: tuple[Row, Row], measure: str) -> float | None:
    several = [
        [values[measure] for values in row.values]
        for row in rows
        if len(row.seeds) > 1 and measure in row.values[0]
    ]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return None
    squares = sum((len(values) - 1) * float(np.var(values, ddof=1)) for values in several)
    seeds = sum(1 / len(row.seeds) for row in pair)
    return float(stats.t.ppf(0.975, freedom) * np.sqrt(squares / freedom * seeds))


def orderings_section(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown; none when no ordering can be told."""
    found = {(each.first, each.second, each.measure): each for each in orderings(rows)}
    if not found:
        return []
    shown = [each for each in MEASURES if any(key[2] == each[1] for key in found)]
    lines = [
        "## The paper's orderings",
        "",
        "How much better the first method was, and whether that is the order in which the paper "
        "prints the two. *Open*: the difference is within the brackets, which chance alone exceeds "
        "once in twenty: Student's t, with the variance over seeds pooled over the methods that "
        "have several; a method of one seed is taken to vary as they do. Of so many cells, one in "
        "twenty is decided by chance. Style from the tile itself, as in the paper. KID and "
        "FID-768 stand against the paper's FID, and KID is x 1000.",
        "",
        "| | " + " | ".join(title for title, *_ in shown) + " |",
        "|" + "---|" * (len(shown) + 1),
    ]
    for first, second in PAIRS:
        cells = [_cell(found.get((first, second, measure))) for _, measure, *_ in shown]
        if any(cells):
            name = f"{METHODS[first].title} over {METHODS[second].title}"
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _cell(one: Ordering | None) -> str:
    if one is None:
        return ""
    factor = 1000 if one.measure == "kid" else 1
    return f"{one.verdict}: {factor * one.gain:+.3f} ({factor * one.margin:.3f})"
