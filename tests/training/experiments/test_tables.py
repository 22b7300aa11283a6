"""Tables 1 and 2 with a model that copies its style image: what it scores is known."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from model.errors import ParameterInvalid, RunUnfinished
from tests.training.experiments.stand_ins import Blocks, spaces
from training.experiments.laboratory import Laboratory
from training.experiments.styles import RandomMasks, organ_styles
from training.experiments.table1 import draw_judged, table_1, table_2

Make = Callable[..., Laboratory]


def test_real_tiles_are_at_no_distance_from_themselves(copying: Make, tmp_path: Path) -> None:
    rows = table_1(copying(test_tiles=8), spaces(Blocks(), tmp_path), ["spade"])
    by_source = {row.facts["style_source"]: row for row in rows if row.name == "spade"}
    assert by_source["same"].mean("fid_12") == pytest.approx(0, abs=1e-6)
    assert by_source["same"].mean("ssim") == pytest.approx(1)
    assert by_source["slide"].mean("ssim") < 0.9
    floors = {row.name: row for row in rows}
    beside, training = (floors[name].mean("fid_12") for name in ("real-beside", "real-training"))
    assert 0 < beside < training / 2
    for measure in ("dq", "sq", "pq", "aji"):
        assert by_source["same"].mean(measure) == floors["real"].mean(measure)


def test_nothing_is_measured_twice(
    copying: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Blocks()
    first = table_1(copying(), spaces(network, tmp_path), ["spade"])
    assert network.seen

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured or loaded again")

    for name in ("distances", "similarity", "segmentation"):
        monkeypatch.setattr(f"training.experiments.judge.{name}", never)
    later = copying(minutes=0)  # what is kept may be read when the time is over
    later.model = later.segmenter = never  # type: ignore[method-assign, assignment]
    unused = Blocks()
    again = table_1(later, spaces(unused, tmp_path), ["spade"])
    assert [row.to_json() for row in again] == [row.to_json() for row in first]
    assert unused.seen == 0


def test_other_tiles_are_measured_anew(copying: Make, tmp_path: Path) -> None:
    four, eight = (
        table_1(copying(test_tiles=count), spaces(Blocks(), tmp_path), ["spade"])
        for count in (4, 8)
    )
    assert four[-1].mean("ssim") != eight[-1].mean("ssim")


def test_the_end_of_the_time_is_the_end_of_measuring(copying: Make, tmp_path: Path) -> None:
    network = Blocks()
    table_1(copying(), spaces(network, tmp_path), [])
    seen, late = network.seen, copying()
    draw = late.tiles

    def drawn_in_time(*args: object) -> object:
        pictures = draw(*args)
        late.sitting = copying(minutes=0).sitting
        return pictures

    late.tiles = drawn_in_time  # type: ignore[method-assign, assignment]
    with pytest.raises(RunUnfinished, match="before the distances"):
        table_1(late, spaces(network, tmp_path), ["pix2pix"])
    assert network.seen == seen


def test_table_2_takes_the_organs_apart(copying: Make, tmp_path: Path) -> None:
    rows = table_2(copying(test_tiles=3), spaces(Blocks(), tmp_path), ["spade"])
    keys = ("organ", "slides", "tiles", "style_source")
    found = [(row.name, *(row.facts[key] for key in keys)) for row in rows]
    assert found == [  # breast has one tile
        ("real-beside", "kidney", 1, 2, None),
        ("real-training", "kidney", 1, 2, None),
        ("spade", "kidney", 1, 2, "same"),
        ("spade", "kidney", 1, 2, "slide"),
    ]
    assert rows[2].mean("fid_12") == pytest.approx(0, abs=1e-6)
    assert rows[0].mean("fid_12") < rows[1].mean("fid_12")
    assert all("kid_error" not in row.values[0] for row in rows)  # one slide tells none


def test_table_2_needs_two_tiles_of_an_organ(copying: Make, tmp_path: Path) -> None:
    now = copying(test_tiles=2)
    with pytest.raises(ParameterInvalid, match="--tiles"):
        table_2(now, spaces(Blocks(), tmp_path), ["spade"])
    assert not now.run("spade", 0).exists()


def test_the_kernel_distance_is_of_the_first_space(tmp_path: Path) -> None:
    """Also when features come from a file, which has them in another order."""

    class Two(Blocks):
        fingerprint = "two"

        def features(self, images_u8: Iterable[np.ndarray], **_: object) -> dict[int, np.ndarray]:
            count = len(list(images_u8))
            return {768: np.zeros((count, 768)), 1280: np.ones((count, 1280))}

    asked = spaces(Two(), tmp_path)
    images = [np.zeros((256, 256, 3), np.uint8)] * 2
    for _ in range(2):
        assert list(asked.features("", images, keep=True)) == ["768", "1280"]


def test_rows_of_one_table_have_an_error_over_slides(copying: Make, tmp_path: Path) -> None:
    rows = table_1(copying(test_tiles=8), spaces(Blocks(), tmp_path), ["spade"])
    by_name = {row.name: row for row in rows if row.facts["style_source"] != "same"}
    assert by_name["spade"].mean("kid_error") > 0
    assert by_name["real-beside"].mean("kid_error") > 0


def test_styles_are_of_the_middle_of_a_slide(copying: Make) -> None:
    """Slides of 504 px have four by four tiles of 128 px, 124 px apart."""
    now = copying(crop_px=128)
    places = {
        (tile.top, tile.left)
        for style in organ_styles(now).values()
        for tile in now.training_tiles
        if np.array_equal(tile.image_u8, style)
    }
    assert places == {(124, 124)}


@pytest.mark.parametrize("crop_px", [64, 128])
def test_everything_drawn_is_as_large_as_the_training_crops(copying: Make, crop_px: int) -> None:
    now = copying(crop_px=crop_px)
    shape = (crop_px, crop_px)
    styles = organ_styles(now)
    judged = draw_judged(now, "spade", 0, "same").images
    drawn = [*judged, *styles.values()]
    assert {image.shape for image in drawn} == {(*shape, 3)}
    assert RandomMasks(now, list(styles))[0].shape == shape
    assert {tile.mask_labels.shape for tile in [*now.judged, *now.beside_judged]} == {shape}


def test_few_tiles_of_several_slides_tell_no_error(copying: Make, tmp_path: Path) -> None:
    """One tile a slide: without a slide a single one is left."""
    rows = table_1(copying(test_tiles=2), spaces(Blocks(), tmp_path), ["spade"])
    assert all(row.mean("kid_error") is None for row in rows)
    assert rows[-1].mean("kid") is not None
