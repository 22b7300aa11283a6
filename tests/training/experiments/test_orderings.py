"""The paper's orderings beside the measured ones."""

import json
import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from training.experiments.given import GIVEN
from training.experiments.kinds import KINDS
from training.experiments.orderings import PAIRS, Ordering, orderings, orderings_section
from training.experiments.printed import TABLE_1, TABLE_2
from training.experiments.report import page, write_report
from training.experiments.rows import Row
from training.experiments.scale import SCALES
from training.methods import METHODS


def row(name: str, *pq: float, source: str = "same", **others: float) -> Row:
    values = [{"pq": each, **others} for each in pq]
    return Row(name, METHODS[name].title, tuple(range(len(pq))), values, {"style_source": source})


def of_organ(name: str, organ: str, *kid: float) -> Row:
    facts = {"style_source": "same", "organ": organ}
    return Row(
        name, METHODS[name].title, tuple(range(len(kid))), [{"kid": each} for each in kid], facts
    )


def by_pair(rows: list[Row], measure: str = "pq") -> dict[tuple[str, str], Ordering]:
    return {(o.first, o.second): o for o in orderings(rows) if o.measure == measure}


# The paper prints a PQ of .586 for SIAN, .552 for SPADE. Standard deviations of .01 and three seeds
# each make a margin of .0227.
@pytest.mark.parametrize(
    ("sian", "verdict"),
    [
        ((0.60, 0.61, 0.62), "as printed"),
        ((0.40, 0.41, 0.42), "reversed"),
        ((0.522, 0.532, 0.542), "open"),
        ((0.524, 0.534, 0.544), "as printed"),
        ((0.476, 0.486, 0.496), "reversed"),
        ((0.478, 0.488, 0.498), "open"),
    ],
)
def test_the_verdict_goes_by_the_spread_over_seeds(sian, verdict):
    found = by_pair([row("sian", *sian), row("spade", 0.50, 0.51, 0.52)])
    assert found["sian", "spade"].verdict == verdict
    assert found["sian", "spade"].printed_gain == pytest.approx(0.034)


def test_the_margin_is_that_of_a_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 0.01, 3), rng.normal(0.52, 0.01, 3)
    margin = by_pair([row("sian", *a), row("spade", *b)])["sian", "spade"].margin
    interval = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert margin == pytest.approx((interval.high - interval.low) / 2)


def test_one_seed_borrows_the_variance_of_those_with_several():
    several = [row("sian", 0.60, 0.61, 0.62), row("spade", 0.50, 0.51, 0.52)]
    found = by_pair([*several, row("inst", 0.55)])
    assert found["inst", "spade"].margin == pytest.approx(
        found["sian", "spade"].margin * math.sqrt((1 + 1 / 3) / (2 / 3))
    )
    assert orderings([row("sian", 0.6), row("spade", 0.5)]) == []


def test_less_distance_is_better():
    rows = [
        row("sian", 0.5, 0.5, kid=0.01, fid_768=1.0, fid_1280=20.0, fid_lite0_1280=150.0),
        row("spade", 0.5, 0.5, kid=0.02, fid_768=0.9, fid_1280=30.0, fid_lite0_1280=140.0),
    ]
    verdicts = {o.measure: (o.gain, o.verdict) for o in orderings(rows)}
    assert verdicts["kid"] == (pytest.approx(0.01), "as printed")
    assert verdicts["fid_768"] == (pytest.approx(-0.1), "reversed")
    assert verdicts["fid_1280"] == (pytest.approx(10), "as printed")
    assert verdicts["fid_lite0_1280"] == (pytest.approx(-10), "reversed")


def test_only_rows_in_the_style_of_the_tile_take_part():
    rows = [row("sian", 0.6, 0.61), row("sian", 0.1, 0.11, source="slide"), row("spade", 0.5, 0.51)]
    assert by_pair(rows)["sian", "spade"].gain == pytest.approx(0.1)


def test_every_pair_of_the_paper_and_ours_against_each():
    ours = {"sian-release", GIVEN}
    paper = [pair for pair in PAIRS if not ours & set(pair)]
    assert {frozenset(pair) for pair in paper} == {
        frozenset(pair) for pair in combinations(TABLE_1, 2)
    }
    assert len(paper) == 21
    assert set(PAIRS) - set(paper) == {(one, other) for one in ours for other in TABLE_1}
    assert len(PAIRS) == 35


def test_what_the_paper_does_not_have_is_ahead_or_behind():
    rows = [row("sian", 0.60, 0.61, 0.62), row("spade", 0.50, 0.51, 0.52), row("inst", 0.9)]
    found = by_pair([*rows, row("sian-release", 0.8)])
    assert found["sian-release", "sian"].verdict == "ahead"
    assert found["sian-release", "inst"].verdict == "behind"
    assert found["sian-release", "spade"].printed_gain is None


def test_a_page_says_which_hold(tmp_path):
    rows = [
        row("spade", 0.50, 0.51, 0.52, kid=0.002),
        row("sian", 0.60, 0.61, 0.62, kid=0.003),
        row("pix2pix", 0.7, kid=0.002, source="none"),
    ]
    rows[0].values[0]["kid"] = 0.0023
    text = page(KINDS["table1"], rows, SCALES["cpu"], "")
    lines = [line for line in text.splitlines() if " over " in line and line.startswith("|")]
    assert [line.split(" | ")[0] for line in lines] == [
        "| SIAN over SPADE",
        "| SIAN over pix2pix",
        "| SPADE over pix2pix",
    ]
    assert "as printed: +0.100 (0.023; +0.034)" in lines[0]
    assert "reversed: -0.900 (0.278; +18.9)" in lines[0]
    assert "reversed: -0.090 (0.032; +0.093)" in lines[1]
    json_path, _ = write_report(tmp_path, "table1", rows, SCALES["cpu"], command="", threads=1)
    stored = [o for o in json.loads(json_path.read_text())["orderings"] if o["measure"] == "pq"]
    assert [(o["first"], o["second"], o["verdict"]) for o in stored] == [
        ("sian", "spade", "as printed"),
        ("sian", "pix2pix", "reversed"),
        ("spade", "pix2pix", "reversed"),
    ]
    assert "orderings" not in page(KINDS["table3"], rows, SCALES["cpu"], "")


def test_organs_are_held_apart(tmp_path):
    floor = Row("real", "real tiles", (0,), [{"kid": 0.0}], {"organ": "lung", "tiles": 128})
    rows = [
        floor,
        of_organ("spade", "lung", 0.50, 0.51, 0.52),
        of_organ("spade", "brain", 0.50, 0.60, 0.70),
        of_organ("sian", "lung", 0.55, 0.56, 0.57),
        of_organ("sian", "brain", 0.45, 0.55, 0.65),
        of_organ("inst", "lung", 0.4),
        of_organ("sian-release", "lung", 0.1),
    ]
    found = {(o.first, o.second, o.organ): o for o in orderings(rows)}
    assert {key: o.verdict for key, o in found.items()} == {
        ("sian", "spade", "lung"): "reversed",
        ("sian", "spade", "brain"): "open",
        ("sian-release", "spade", "lung"): "ahead",
    }
    lung = TABLE_2["spade"]["lung"] - TABLE_2["sian"]["lung"]
    assert found["sian", "spade", "lung"].printed_gain == pytest.approx(lung)
    assert found["sian", "spade", "brain"].margin == pytest.approx(
        10 * found["sian", "spade", "lung"].margin
    )
    lines = page(KINDS["table2"], rows, SCALES["cpu"], "").splitlines()
    assert [line.split(" | ")[0] for line in lines if " over " in line and line[0] == "|"] == [
        "| SIAN over SPADE, brain",
        "| SIAN over SPADE, lung",
        "| SIAN release over SPADE, lung",
    ]
    json_path, _ = write_report(tmp_path, "table2", rows, SCALES["cpu"], command="", threads=1)
    assert [o["organ"] for o in json.loads(json_path.read_text())["orderings"]] == [
        "lung",
        "lung",
        "brain",
    ]


def test_nothing_is_said_without_seeds_to_tell_by():
    assert orderings_section([row("sian", 0.6), row("spade", 0.5)]) == []
