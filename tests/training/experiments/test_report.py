"""Rows and pages of a table."""

import json
from pathlib import Path

import pytest

from training.experiments.report import KINDS, page, write_report
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


def test_a_page_has_the_printed_values_in_brackets() -> None:
    lines = page(KINDS["table1"], [REAL, SPADE], SMOKE, "sian experiment table1").splitlines()
    assert "| method | style source | seeds | FID-768 | KID x 1000 | PQ |" in lines
    assert "| real test tiles |  | 1 |  |  | 0.500 |" in lines
    assert "| SPADE | same | 3 | 2.000 ± 1.000 | 2.000 ± 1.000 | 0.300 ± 0.100 (0.552) |" in lines


def test_organs_have_their_own_printed_values() -> None:
    facts = {"style_source": "same", "organ": "brain", "tiles": 4}
    row = Row("sian", "SIAN", (0,), [{"fid_2048": 100.0}], facts)
    text = page(KINDS["table2"], [row], SMOKE, "")
    assert "| SIAN | brain | same | 4 | 1 | 100.0 (239.6) |" in text


def test_the_json_has_every_value_and_where_it_comes_from(tmp_path: Path) -> None:
    path, _ = write_report(tmp_path, "table1", [SPADE], SMOKE, command="sian ...", threads=2)
    assert path.name == "table1-smoke.json"
    stored = json.loads(path.read_text())
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
