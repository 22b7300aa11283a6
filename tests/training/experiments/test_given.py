"""A checkpoint of one's own among the methods: the one that is served."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from model.errors import CheckpointMissing, ParameterInvalid
from model.synthesizer import Synthesizer
from tests.processes import RELEASE
from tests.training.experiments.stand_ins import Blocks, spaces
from training.data.monuseg import read_dataset
from training.experiment import app
from training.experiments.figures import organ_places, write_figures
from training.experiments.given import GIVEN, Given
from training.experiments.kinds import KINDS
from training.experiments.laboratory import Laboratory
from training.experiments.orderings import orderings
from training.experiments.printed import TABLE_1
from training.experiments.report import page
from training.experiments.rows import Row
from training.experiments.scale import SCALES
from training.experiments.table1 import draw_judged, table_1, table_2
from training.experiments.table3 import table_3
from training.methods import METHODS

Make = Callable[..., Laboratory]


@pytest.fixture
def given(small_data: Path) -> Given:
    return Given.read(RELEASE, read_dataset(small_data))


@pytest.fixture
def now(laboratory: Make, given: Given) -> Laboratory:
    return laboratory(given=given, crop_px=256)


def with_slides(slides: object, folder: Path) -> Path:
    """The checkpoint with another word on the slides that it was trained on."""
    checkpoint = folder / RELEASE.name
    shutil.copy(RELEASE, checkpoint)
    card = json.loads(RELEASE.with_suffix(".json").read_text())
    card["training"]["slides"] = slides
    checkpoint.with_suffix(".json").write_text(json.dumps(card))
    return checkpoint


def test_its_tiles_are_those_that_are_served(now: Laboratory) -> None:
    drawn = draw_judged(now, GIVEN, 0, "slide").images
    network = Synthesizer.load(RELEASE, precision="fp32")
    for k, (place, tile) in enumerate(zip(now.plan.styles, drawn, strict=True)):
        style = network.encode_style(now.test_tiles[place].image_u8)
        expected = network.synthesize(now.judged[k].mask_labels, style, seed=k)
        assert np.array_equal(tile, expected)


def _steps_before(training: dict[str, Any]) -> int:
    """Of all runs that this one continues."""
    earlier = training.get("started_from")
    return earlier["steps"] + _steps_before(earlier) if earlier else 0


def test_it_has_rows_in_tables_1_and_2(now: Laboratory, given: Given, tmp_path: Path) -> None:
    rows = table_1(now, spaces(Blocks(), tmp_path), [GIVEN])
    own = [row for row in rows if row.name == GIVEN]
    assert [row.facts["style_source"] for row in own] == ["same", "slide"]
    assert {row.title for row in own} == {"checkpoint sian-release"}
    assert own[0].facts[GIVEN] == {
        "sha256": given.card.sha256,
        "code_version": given.card.code_version,
        "steps": given.card.training["steps"],
        "steps_before": _steps_before(given.card.training),
        "batch": 6,
        "crop_px": 128,
        "start": "layout",
    }
    assert all(np.isfinite(list(row.values[0].values())).all() for row in own)
    steps, short = given.card.training["steps"], given.card.sha256[:8]
    text = page(KINDS["table1"], rows, now.scale, "")
    told = f" Trained otherwise: checkpoint sian-release ({short}), {steps} steps of 6 crops of 128"
    assert text.count(told) == 1
    by_organ = table_2(now, spaces(Blocks(), tmp_path), [GIVEN])
    organs = {row.facts["organ"] for row in by_organ if row.name == GIVEN}
    assert organs == {"breast", "kidney"}


def test_it_is_held_against_every_method_of_the_paper(given: Given) -> None:
    facts = {"style_source": "same"}
    several = [{"pq": 0.5}, {"pq": 0.51}]
    rows = [Row(name, METHODS[name].title, (0, 1), several, facts) for name in TABLE_1]
    rows += [Row(GIVEN, given.method.title, (0,), [{"pq": 0.9}], facts | {GIVEN: given.facts})]
    found = {o.second: o.verdict for o in orderings(rows) if o.first == GIVEN}
    assert found == dict.fromkeys(TABLE_1, "ahead")
    text = page(KINDS["table1"], rows, SCALES["cpu"], "")
    assert "| checkpoint sian-release over SPADE |" in text


def test_a_segnet_is_trained_on_its_tiles(now: Laboratory) -> None:
    rows = table_3(now, [GIVEN])
    assert [(row.name, row.title) for row in rows[2:]] == [(GIVEN, "+ checkpoint sian-release")]
    assert rows[-1].facts[GIVEN]["sha256"]
    assert len(list((now.run(GIVEN, 0) / "random").glob("*.png"))) == now.scale.synthetic


def test_it_is_in_the_figures(now: Laboratory, tmp_path: Path) -> None:
    paths = write_figures(now, [GIVEN], tmp_path / "out", command="")
    told = json.loads(paths[-1].read_text())
    assert [row["method"] for row in told["rows"]] == [GIVEN]
    tile = draw_judged(now, GIVEN, 0, "same").images[organ_places(now.judged)["breast"]]
    with Image.open(paths[0]) as sheet:  # breast is the first organ, ours the last row
        corner = np.asarray(sheet)[-256:, :256]
    assert np.array_equal(corner, tile)


def test_two_share_no_folder(laboratory: Make, given: Given, tmp_path: Path) -> None:
    other = Given(given.path, replace(given.card, sha256="0" * 64))
    folders = {laboratory(given=each).run(GIVEN, 0).name for each in (given, other)}
    assert folders == {f"checkpoint-{given.card.sha256[:8]}-s0", "checkpoint-00000000-s0"}


def test_what_its_card_does_not_tell_is_not_claimed(given: Given) -> None:
    silent = Given(given.path, replace(given.card, training={"config": None}))
    row = Row(GIVEN, silent.method.title, (0,), [{"pq": 0.9}], {GIVEN: silent.facts})
    assert "its card does not tell how long." in page(KINDS["table1"], [row], SCALES["cpu"], "")


def test_a_stretched_start_is_told(given: Given) -> None:
    facts = {GIVEN: given.facts | {"start": "style"}}
    row = Row(GIVEN, given.method.title, (0,), [{"pq": 0.9}], facts)
    stretched = "The square that it starts from was stretched to tiles of 256 px."
    assert stretched in page(KINDS["table1"], [row], SCALES["paper"], "")
    assert stretched not in page(KINDS["table1"], [row], SCALES["cpu"], "")


@pytest.mark.parametrize("slides", [None, "c-kidney"])
def test_one_that_does_not_tell_what_it_saw_is_refused(
    slides: object, small_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParameterInvalid, match=r"has no list training\.slides"):
        Given.read(with_slides(slides, tmp_path), read_dataset(small_data))


def test_one_that_saw_a_judged_slide_is_refused(small_data: Path, tmp_path: Path) -> None:
    checkpoint = with_slides(["a-kidney", "c-kidney"], tmp_path)
    with pytest.raises(ParameterInvalid, match="1 of the slides that are judged, c-kidney"):
        Given.read(checkpoint, read_dataset(small_data))


def test_the_command_refuses_what_it_cannot_judge(small_data: Path, tmp_path: Path) -> None:
    options = [f"--data={small_data}", "--vgg=vgg", "--inception=inception", "--device=cpu"]
    options += [f"--folder={tmp_path / 'runs'}", f"--out={tmp_path / 'out'}"]
    done = CliRunner().invoke(app, ["ablations", *options, f"--checkpoint={RELEASE}"])
    assert isinstance(done.exception, ParameterInvalid)
    assert "which a checkpoint may have seen" in str(done.exception)
    done = CliRunner().invoke(app, ["table1", *options, f"--checkpoint={tmp_path / 'no'}"])
    assert isinstance(done.exception, CheckpointMissing)
