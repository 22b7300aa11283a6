"""The evaluation: its tiles and styles, and its verdicts on models of known faults."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import DataInvalid
from tests.training.painted import Painter, Picture, write_slides
from training.data.monuseg import Slide, read_dataset
from training.evaluation.cache import FeatureCache, default_folder
from training.evaluation.protocol import Evaluation, evaluate_model
from training.evaluation.report import colour_instances
from training.evaluation.rows import Row
from training.evaluation.tiles import Tile, cut_tiles, make_plan
from training.metrics.inception import Inception


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slides(tmp_path_factory.mktemp("slides"))


@pytest.fixture(scope="module")
def slides(folder: Path) -> list[Slide]:
    return read_dataset(folder)


class FakeInception:
    """Two kinds of features that are cheap; counts the images it has seen."""

    fingerprint = "fake"

    def __init__(self) -> None:
        self.seen = 0

    def features(
        self, images_u8: Sequence[Picture], *, advance: Callable[[int], object] = lambda _: None
    ) -> dict[int, NDArray[np.float64]]:
        self.seen += len(images_u8)
        advance(len(images_u8))
        rows = np.stack(
            [
                [
                    *i.mean(axis=(0, 1)),
                    *i.std(axis=(0, 1)),
                    np.abs(np.diff(i.astype(float), axis=0)).mean(),
                ]
                for i in images_u8
            ]
        )
        return {768: rows, 1280: np.concatenate([rows, rows], axis=1)}


def rows_by_name(result: Evaluation) -> dict[str, Row]:
    return {row.measure: row for row in result.rows if row.organ is None}


def blank_tiles(slides: int, grid: int, step: int = 248) -> list[Tile]:
    image, mask = np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), np.int32)
    return [
        Tile(f"slide-{s}", "liver", row * step, col * step, image, mask)
        for s in range(slides)
        for row in range(grid)
        for col in range(grid)
    ]


class TestTiles:
    def test_cut(self, slides: list[Slide]) -> None:
        slide = next(slide for slide in slides if slide.split == "test")
        tiles = cut_tiles([slide])
        assert [(tile.top, tile.left) for tile in tiles] == [
            (0, 0),
            (0, 248),
            (248, 0),
            (248, 248),
        ]
        np.testing.assert_array_equal(tiles[1].image_u8, slide.image()[:256, 248:504])
        np.testing.assert_array_equal(tiles[2].mask_labels, slide.labels()[248:504, :256])

    def test_monuseg_size_gives_sixteen(self, slides: list[Slide]) -> None:
        train = [slide for slide in slides if slide.split == "train"]
        tiles = cut_tiles(train)
        assert len(tiles) == 16
        assert max(tile.top for tile in tiles) + 256 == 1000

    def test_a_slide_smaller_than_a_tile(self, tmp_path: Path) -> None:
        for name, array in (
            ("i", np.zeros((255, 300, 3), np.uint8)),
            ("l", np.zeros((255, 300), np.uint8)),
        ):
            Image.fromarray(array).save(tmp_path / f"{name}.png")
        small = Slide("small", "test", "liver", tmp_path / "i.png", tmp_path / "l.png")
        with pytest.raises(DataInvalid, match="small is 300 x 255 px"):
            cut_tiles([small])

    def test_styles_come_from_where_they_should(self) -> None:
        tiles = blank_tiles(slides=14, grid=4)
        plan = make_plan(tiles, seed=3)
        assert plan.tiles == list(range(224))
        for index, style, foreign in zip(plan.tiles, plan.styles, plan.foreign_styles, strict=True):
            tile, other = tiles[index], tiles[style]
            assert other.slide_id == tile.slide_id
            # No pixel in common.
            assert max(abs(other.top - tile.top), abs(other.left - tile.left)) >= 256
            assert tiles[foreign].slide_id != tile.slide_id
        # Each slide lends its styles about equally often: 16 expected, 6 sigma allowed.
        lent = np.bincount([foreign // 16 for foreign in plan.foreign_styles], minlength=14)
        assert abs(lent - 16).max() < 24

    def test_same_seed_same_plan(self) -> None:
        tiles = blank_tiles(slides=3, grid=3)
        assert make_plan(tiles, seed=1) == make_plan(tiles, seed=1)
        assert make_plan(tiles, seed=1).styles != make_plan(tiles, seed=2).styles

    @pytest.mark.parametrize("limit", [2, 14, 20, 28, 100, 224, 500])
    def test_a_limited_plan_is_part_of_the_whole(self, limit: int) -> None:
        tiles = blank_tiles(slides=14, grid=4)
        whole, part = make_plan(tiles, seed=0), make_plan(tiles, seed=0, limit=limit)
        assert len(part.tiles) == min(limit, 224)
        assert part.tiles == sorted(set(part.tiles))
        for tile, style, foreign in zip(part.tiles, part.styles, part.foreign_styles, strict=True):
            assert (style, foreign) == (whole.styles[tile], whole.foreign_styles[tile])
        share = np.bincount([tile // 16 for tile in part.tiles], minlength=14)
        assert share.max() - share.min() <= 1

    def test_too_few_to_choose_from(self) -> None:
        with pytest.raises(DataInvalid, match="two test slides"):
            make_plan(blank_tiles(slides=1, grid=2), seed=0)
        with pytest.raises(DataInvalid, match="single tile"):
            make_plan(blank_tiles(slides=2, grid=1), seed=0)


class TestVerdicts:
    def test_a_model_that_does_as_told(self, slides: list[Slide]) -> None:
        painter = Painter()
        result = evaluate_model(painter, slides)
        rows = rows_by_name(result)
        for name in (
            "haematoxylin_auc",
            "lab_distance",
            "lab_foreign_over_own",
            "gradient_energy",
            "preferred_direction",
            "border_worst_step",
            "grid_worst_step",
            "grid_worst_gradient",
        ):
            assert rows[name].passed, rows[name]
        assert rows["haematoxylin_auc"].value > 0.99
        assert rows["lab_distance"].value < 2
        assert rows["lab_foreign_to_foreign"].value < 2
        assert rows["lab_foreign_to_own"].value > 10
        assert rows["lab_foreign_to_own"].value == pytest.approx(
            rows["lab_own_to_foreign"].value, rel=0.2
        )
        assert "frechet_768" not in rows

    def test_each_style_is_encoded_once_and_noise_is_shared(self, slides: list[Slide]) -> None:
        painter = Painter()
        result = evaluate_model(painter, slides, seed=5)
        styles = {*result.plan.styles, *result.plan.foreign_styles}
        assert sum(kind == "encode" for kind, _ in painter.calls) == len(styles)
        seeds = [seed for kind, seed in painter.calls if kind == "synthesize"]
        assert seeds == [5 + k for k in range(12) for _ in range(2)]

    def test_the_same_twice(self, slides: list[Slide]) -> None:
        first, second = (evaluate_model(Painter(), slides, limit=6) for _ in range(2))
        assert [row.to_json() for row in first.rows] == [row.to_json() for row in second.rows]

    def test_a_model_that_ignores_the_style(self, slides: list[Slide]) -> None:
        def grey(tile: Picture) -> Picture:
            return np.repeat(tile.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)

        rows = rows_by_name(evaluate_model(Painter(grey), slides))
        assert rows["lab_distance"].passed is False
        assert rows["lab_foreign_over_own"].passed is False

    def test_a_model_that_ignores_the_mask(self, slides: list[Slide]) -> None:
        rows = rows_by_name(evaluate_model(Painter(lambda tile: tile[::-1].copy()), slides))
        assert rows["haematoxylin_auc"].value < 0.7
        assert rows["haematoxylin_auc"].passed is False

    def test_a_model_without_texture(self, slides: list[Slide]) -> None:
        def blur(tile: Picture) -> Picture:
            return np.full_like(tile, tile.mean(axis=(0, 1)))

        assert (
            rows_by_name(evaluate_model(Painter(blur), slides))["gradient_energy"].passed is False
        )

    def test_a_model_with_a_frame_and_a_comb(self, slides: list[Slide]) -> None:
        def frame(tile: Picture) -> Picture:
            spoilt = tile.copy()
            spoilt[0] //= 2
            spoilt[:, 16::16] //= 2
            return spoilt

        rows = rows_by_name(evaluate_model(Painter(frame), slides))
        for name in (
            "border_worst_gradient",
            "border_worst_step",
            "grid_worst_gradient",
            "grid_worst_step",
        ):
            assert rows[name].passed is False, rows[name]
        assert "top 0" in rows["border_worst_step"].meaning
        assert "across" in rows["grid_worst_step"].meaning

    def test_organs(self, slides: list[Slide]) -> None:
        result = evaluate_model(Painter(), slides)
        organs = {(row.organ, row.measure): row for row in result.rows if row.organ}
        assert {organ for organ, _ in organs} == {"kidney", "lung"}
        assert "4 kidney tiles" in organs["kidney", "lab_distance"].meaning
        assert "8 lung tiles" in organs["lung", "lab_distance"].meaning
        assert all(row.target is None for row in organs.values())

    def test_no_test_slides(self, slides: list[Slide]) -> None:
        with pytest.raises(DataInvalid, match="no test slides"):
            evaluate_model(Painter(), [slide for slide in slides if slide.split == "train"])


class TestFrechet:
    def test_rows_and_cache(self, slides: list[Slide], tmp_path: Path) -> None:
        inception = FakeInception()
        cache = FeatureCache(inception, tmp_path)  # type: ignore[arg-type]
        first = evaluate_model(Painter(), slides, features=cache)
        # Synthetic, real, painted and training tiles.
        assert inception.seen == 4 * 12
        rows = rows_by_name(first)
        assert rows["frechet_768"].value < rows["frechet_768_painted"].value
        assert rows["frechet_768_over_painted"].value == pytest.approx(
            rows["frechet_768"].value / rows["frechet_768_painted"].value
        )
        assert rows["frechet_768"].real is not None
        assert rows["frechet_768_over_painted"].target == "<= 0.3"
        assert rows["frechet_1280_over_painted"].target is None
        again = evaluate_model(Painter(), slides, features=cache)
        # Only the synthetic ones again: no other checkpoint makes the same.
        assert inception.seen == 5 * 12
        assert len(list(tmp_path.iterdir())) == 3
        assert [row.to_json() for row in again.rows] == [row.to_json() for row in first.rows]

    def test_too_few_training_tiles_leave_the_floor_out(
        self, slides: list[Slide], tmp_path: Path
    ) -> None:
        test = [slide for slide in slides if slide.split == "test"]
        cache = FeatureCache(FakeInception(), tmp_path)  # type: ignore[arg-type]
        rows = rows_by_name(evaluate_model(Painter(), test, features=cache))
        assert rows["frechet_768"].real is None
        assert rows["frechet_768_over_painted"].real is None

    def test_a_spoilt_cache_file_is_computed_again(self, tmp_path: Path) -> None:
        inception = FakeInception()
        cache = FeatureCache(inception, tmp_path / "made" / "when needed")  # type: ignore[arg-type]
        images = [np.full((8, 8, 3), k, np.uint8) for k in range(3)]
        stored = cache.features(images)
        (file,) = (tmp_path / "made" / "when needed").iterdir()
        file.write_bytes(b"spoilt")
        again = cache.features(images)
        assert inception.seen == 6
        np.testing.assert_array_equal(again[768], stored[768])
        np.testing.assert_array_equal(cache.features(images)[768], stored[768])
        assert inception.seen == 6
        cache.features(images[::-1])
        assert inception.seen == 9

    def test_cache_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
        assert default_folder() == Path("/somewhere/sian/features")
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "/home/someone")
        assert default_folder() == Path("/home/someone/.cache/sian/features")


class TestRow:
    @pytest.mark.parametrize(
        ("low", "high", "value", "target", "passed"),
        [
            (None, None, 1.0, None, None),
            (None, 6.0, 6.0, "<= 6", True),
            (None, 6.0, 6.01, "<= 6", False),
            (2.0, None, 2.0, ">= 2", True),
            (2.0, None, 1.99, ">= 2", False),
            (0.75, 1.3, 1.0, "0.75 to 1.3", True),
            (0.75, 1.3, 0.7, "0.75 to 1.3", False),
            (None, 6.0, float("nan"), "<= 6", False),
        ],
    )
    def test_verdict(
        self, low: float | None, high: float | None, value: float, target: str, passed: bool
    ) -> None:
        row = Row("measure", value, "meaning", low=low, high=high)
        assert (row.target, row.passed) == (target, passed)
        assert json.loads(json.dumps(row.to_json(), allow_nan=False))["pass"] is passed


def test_instances_in_colour() -> None:
    mask = np.array([[0, 5], [70_000, 5]])
    picture = colour_instances(mask)
    assert picture.shape == (2, 2, 3)
    assert (picture[0, 0] == 0).all()
    assert (picture[0, 1] == picture[1, 1]).all()
    assert (picture[1, 0] != picture[0, 1]).any()
    assert picture[mask > 0].min() >= 80


def test_real_tiles_measure_as_known(test_data: Path, monuseg: Path, tmp_path: Path) -> None:
    """On MoNuSeg itself, with 28 of its 224 test tiles, the painter as the model."""
    inception = Inception.load(
        test_data / "weights" / "inception_2015_to_mixed_7a_fp16.safetensors"
    )
    result = evaluate_model(
        Painter(), read_dataset(monuseg), features=FeatureCache(inception, tmp_path), limit=28
    )
    rows = rows_by_name(result)
    assert len(result.tiles) == 224
    # All 224: haematoxylin AUC .952, median Lab distance 4.7 and 12, Frechet .67 and 2.12.
    assert rows["haematoxylin_auc"].real == pytest.approx(0.952, abs=0.01)
    assert rows["lab_distance"].real == pytest.approx(4.7, abs=1.5)
    assert rows["lab_foreign_to_own"].real == pytest.approx(12, abs=3)
    assert rows["frechet_768_over_painted"].real == pytest.approx(0.4, abs=0.15)
    assert rows["border_band"].value == pytest.approx(1, abs=0.15)
