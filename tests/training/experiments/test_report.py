"""Rows and pages of a table."""

import json
from pathlib import Path

import pytest

from training.experiments.kinds import KINDS
from training.experiments.report import page, write_report
from training.experiments.rows import Row
from training.experiments.scale import SCALES
from training.methods import METHODS

SMOKE = SCALES["smoke"]
SPADE = Row(
    "spade",
    "SPADE",
    (0, 1, 2),
    [
        {"fid_768": 1.0, "kid": 0.001, "pq": 0.2},
        {"fid_768": 2.0, "kid": 0.002, "pq": 0.3},
        {"fid_768": 3.0, "kid": 0.003, "pq": 0.4},
    ],
    {"style_source": "same", "tiles": 28},
)
REAL = Row("real", "real test tiles", (0,), [{"pq": 0.5}], {"style_source": None, "tiles": 28})


def test_a_row_is_a_mean_and_a_deviation_over_seeds() -> None:
    assert (SPADE.mean("fid_768"), SPADE.deviation("fid_768")) == (2.0, 1.0)
    assert (REAL.mean("pq"), REAL.deviation("pq")) == (0.5, None)
    assert REAL.mean("fid_768") is None


def test_a_page_has_the_printed_values_beside_the_measured() -> None:
    text = page(KINDS["table1"], [REAL, SPADE], SMOKE, "sian experiment table1")
    header, _, real, spade = (line for line in text.splitlines() if line.startswith("|"))
    assert header == (
        "| method | style source | tiles | seeds | FID-768 | FID-2048 in the paper | "
        "KID-768 x 1000 | PQ |"
    )
    assert real == "| real test tiles |  | 28 | 1 |  |  |  | 0.500 |"
    cells = "2.000 ± 1.000 | 134.6 | 2.000 ± 1.000 | 0.300 ± 0.100 (0.552) |"
    assert spade == f"| SPADE | same | 28 | 3 | {cells}"
    assert "In brackets: the value that the paper prints." in text
    assert "Behind ±: the standard deviation over the seeds" in text


def test_every_space_and_the_spread_over_subsets_is_on_the_page() -> None:
    values = {"fid_768": 1.0, "fid_1280": 2.0, "fid_2048": 3.0, "fid_lite0_1280": 4.0,
              "kid": 0.005, "kid_deviation": 0.006, "kid_error": 0.007}  # fmt: skip
    row = Row("real-training", "real", (0,), [values], {"style_source": None, "tiles": 9})
    text = page(KINDS["table1"], [row], SMOKE, "")
    header, _, line = (line for line in text.splitlines() if line.startswith("|"))
    for title in ("FID-768", "FID-1280", "FID-2048", "FID-Lite0", "spread of KID-768 x 1000"):
        assert f"| {title} |" in header
    assert line == "| real |  | 9 | 1 | 1.000 | 2.000 | 3.0 | 4.000 | 5.000 | 6.000 | 7.000 |"
    for absent in ("Behind ±", "In brackets", "A row of one seed", "SIAN release"):
        assert absent not in text


def test_organs_have_their_own_printed_values() -> None:
    facts = {"style_source": "same", "organ": "brain", "slides": 2, "tiles": 4}
    measured = {"fid_768": 1.0, "kid": 0.002, "kid_deviation": 0.003}
    text = page(KINDS["table2"], [Row("sian", "SIAN", (0,), [measured], facts)], SMOKE, "")
    assert "| SIAN | brain | same | 2 | 4 | 1 | 1.000 | 239.6 | 2.000 | 3.000 |" in text
    assert "In brackets" not in text
    assert "SegNet" not in text
    assert "A row of one seed shows no spread" in text


def test_the_page_of_a_segnet_has_its_budget() -> None:
    text = page(KINDS["table3"], [REAL], SMOKE, "")
    assert "Generators: width 8, 2 steps of 2 crops of 128 px." in text
    assert "SegNet: width 8, 4 steps of 2 crops of 64 px." in text
    assert "Where tiles are added, of 128 px a side, 50% of the crops are of these." in text
    assert "Judged tiles" not in text
    assert "Judged tiles: 128 px a side" in page(KINDS["table1"], [REAL], SMOKE, "")


def test_what_tiles_add_is_told_with_both_errors() -> None:
    values = [
        {"pq": 0.5 + gain, "pq_gain": gain, "pq_gain_error": 0.004} for gain in (0.01, 0.02, 0.03)
    ]
    row = Row("sian", "+ SIAN", (0, 1, 2), values, {"synthetic": 7, "generators": 3})
    text = page(KINDS["table3"], [row], SMOKE, "")
    assert "| synthetic | generators | seeds | PQ | PQ over the augmented real set |" in text
    assert "| + SIAN | 7 | 3 | 3 | 0.520 ± 0.010 (0.555) | 0.020 ± 0.010 | 0.004 |" in text


@pytest.mark.parametrize(("scale", "own_width"), [("smoke", False), ("cpu", True)])
@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_a_page_with_the_release_network_tells_what_is_its_own(
    name: str, scale: str, own_width: bool
) -> None:
    facts = {"style_source": "same", "organ": "brain", "slides": 2, "tiles": 4, "synthetic": 7}
    row = Row("sian-release", "SIAN release", (0,), [{"pq": 0.1, "kid": 0.1}], facts)
    text = page(KINDS[name], [row], SCALES[scale], "")
    assert ("SIAN release has its own width" in text) == own_width
    assert "one on VGG19 features, and one of pixel classes" in text
    assert "Some choices of SIAN release were made by these test tiles" in text


def test_the_json_has_every_value_and_where_it_comes_from(tmp_path: Path) -> None:
    where = {"device": "A GPU", "torch": "3.0"}
    path, _ = write_report(
        tmp_path, "table1", [SPADE], SMOKE, command="sian ...", threads=2, where=where
    )
    assert path.name == "table1-smoke.json"
    stored = json.loads(path.read_text())
    assert where.items() <= stored.items()
    assert {"command", "machine", "date", "code_version", "scale", "tiling"} <= stored.keys()
    (row,) = stored["rows"]
    assert row["method"] == "spade"
    assert row["seeds"] == [0, 1, 2]
    assert row["style_source"] == "same"
    assert row["pq"] == {"mean": pytest.approx(0.3), "deviation": pytest.approx(0.1),
                         "values": [0.2, 0.3, 0.4]}  # fmt: skip


def test_a_table_of_other_options_or_some_methods_replaces_no_other(tmp_path: Path) -> None:
    changed = SCALES["paper"].with_options(steps=10)
    names = set()
    for scale in (SCALES["paper"], changed):
        for methods in (tuple(METHODS), ("sian", "spade")):
            path, text = write_report(
                tmp_path, "table1", [SPADE], scale, command="", threads=1, methods=methods
            )
            names.add(path.name)
            assert ("The schedule of the paper." in text.read_text()) == (scale is not changed)
            assert ("changed: steps 10." in text.read_text()) == (scale is changed)
    assert names == {
        "table1-paper.json",
        "table1-paper-spade-sian.json",
        "table1-paper-steps10.json",
        "table1-paper-steps10-spade-sian.json",
    }
