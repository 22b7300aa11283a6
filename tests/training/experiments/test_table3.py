"""Table 3 with networks that copy the style they are given: which tiles a SegNet is trained on, and
what is said of its scores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.crops import LoadedSlide
from training.experiments.judge import Judge
from training.experiments.laboratory import Added, Laboratory
from training.experiments.measures import Measures, segmentation_by_slide
from training.experiments.rows import Row
from training.experiments.styles import RandomMasks, organ_styles
from training.experiments.table3 import gain, table_3
from training.segmentation.data import Annotated

Make = Callable[..., Laboratory]
SEEDS = (0, 1)
PQ = {"real": 0.3, "real-augmented": 0.4, "spade": 0.5, "pix2pix": 0.35}


class Table:
    """The rows of a table, and what its SegNets were trained on."""

    def __init__(self, now: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.added: dict[tuple[str, int], list[Annotated]] = {}
        self.augmented: dict[str, bool] = {}
        self.order: list[str] = []
        now.segnet = self.segnet  # type: ignore[method-assign]
        monkeypatch.setattr(Judge, "segmentation_by_slide", lambda _, segnet: scores(segnet))
        self.rows = {row.name: row for row in table_3(now, ["spade", "pix2pix"])}

    def segnet(self, name: str, seed: int, *, augment: bool, added: Added | None = None) -> Path:
        self.added[name, seed] = list(added.images()) if added else []
        self.augmented[name] = augment
        self.order.append(name)
        return Path(name) / f"{seed}"


def scores(segnet: Path) -> dict[str, Measures]:
    """Better by .01 with the second seed; the second slide is better by .2, and by .02 more for
    SPADE."""
    name, seed = segnet.parts
    pq = PQ[name] + 0.01 * int(seed)
    more = 0.22 if name == "spade" else 0.2
    return {"c": {"pq": pq, "dq": 0.5}, "d": {"pq": pq + more, "dq": 0.7}}


@pytest.fixture
def now(copying: Make) -> Laboratory:
    made = copying(synthetic=3, test_tiles=4)
    made.scale = replace(made.scale, seeds=SEEDS)
    return made


@pytest.fixture
def table(now: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Table:
    return Table(now, monkeypatch)


def test_all_but_the_first_are_augmented(table: Table) -> None:
    expected = {"real": False, "real-augmented": True, "spade": True, "pix2pix": True}
    assert table.augmented == expected
    assert list(table.rows) == ["real", "real-augmented", "spade", "pix2pix"]


def test_what_every_process_needs_is_trained_last(table: Table) -> None:
    assert table.order == [name for name in (*list(table.rows)[2:], "real-augmented", "real")
                           for _ in SEEDS]  # fmt: skip


def test_every_seed_has_a_segnet_and_the_tiles_of_its_generator(
    table: Table, now: Laboratory
) -> None:
    """SPADE has several generators, pix2pix the first alone."""
    assert set(table.added) == {(name, seed) for name in table.rows for seed in SEEDS}
    drawn = {path.parent.parent.name for path in now.folder.glob("*/random/*.png")}
    assert drawn == {"spade-s0", "spade-s1", "pix2pix-s0"}
    assert {name: row.facts.get("generators") for name, row in table.rows.items()} == {
        "real": None, "real-augmented": None, "spade": 2, "pix2pix": 1,
    }  # fmt: skip


def test_all_methods_draw_the_same_masks(table: Table, now: Laboratory) -> None:
    spade, pix2pix = (table.added[name, 0] for name in ("spade", "pix2pix"))
    assert len(spade) == table.rows["spade"].facts["synthetic"] == 3
    masks = RandomMasks(now, list(organ_styles(now)))
    for k, (one, other) in enumerate(zip(spade, pix2pix, strict=True)):
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.labels, masks[k])
        assert one.labels.max() > 1
    assert not np.array_equal(spade[0].labels, spade[1].labels)
    assert table.added["real", 0] == table.added["real-augmented", 0] == []


def test_styles_are_of_training_slides_of_the_organ(table: Table, now: Laboratory) -> None:
    """A copy of the style shows which it was."""
    for k, added in enumerate(table.added["spade", 0]):
        organ = ("breast", "kidney")[k % 2]
        of_organ = [tile.image_u8 for tile in now.training_tiles if tile.organ == organ]
        assert any(np.array_equal(added.image_u8, each) for each in of_organ)


def test_scores_are_means_over_slides_and_gains_those_of_the_same_seed(table: Table) -> None:
    def values(row: Row, measure: str) -> list[float]:
        return [each[measure] for each in row.values]

    spade, pix2pix = table.rows["spade"], table.rows["pix2pix"]
    assert values(spade, "pq") == pytest.approx([0.61, 0.62])
    assert values(spade, "dq") == pytest.approx([0.6, 0.6])
    assert values(spade, "pq_gain") == pytest.approx([0.11, 0.11])
    assert values(spade, "pq_gain_error") == pytest.approx([0.01, 0.01])
    assert values(pix2pix, "pq_gain") == pytest.approx([-0.05, -0.05])
    assert table.rows["real"].mean("pq_gain") == pytest.approx(-0.1)
    assert table.rows["real-augmented"].mean("pq_gain") is None
    assert spade.facts["pq_by_slide"] == {
        "c": pytest.approx([0.5, 0.51]), "d": pytest.approx([0.72, 0.73]),
    }  # fmt: skip


def test_a_single_slide_has_no_error() -> None:
    assert gain({"c": {"pq": 0.5}}, {"c": {"pq": 0.4}}) == {"pq_gain": pytest.approx(0.1)}


def test_slides_are_segmented_whole() -> None:
    """By one that finds the nuclei of the first slide and none of the second."""
    labels = np.zeros((70, 90), np.int32)
    labels[10:30, 10:30], labels[40:60, 50:80] = 1, 2
    image = np.repeat(labels[..., None], 3, axis=2).astype(np.uint8)
    slides = [
        LoadedSlide("a", "liver", image, labels),
        LoadedSlide("b", "liver", np.zeros_like(image), labels),
    ]

    class Reading:
        def segment(self, image_u8: np.ndarray) -> np.ndarray:
            return image_u8[..., 0].astype(np.int32)

    found = segmentation_by_slide(Reading(), slides)  # type: ignore[arg-type]
    assert found == {
        "a": {"dq": 1, "sq": 1, "pq": 1, "aji": 1}, "b": {"dq": 0, "sq": 0, "pq": 0, "aji": 0},
    }  # fmt: skip


def test_slides_are_measured_once(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = laboratory()
    segnet = tmp_path / "segnet"
    segnet.write_bytes(b"a SegNet")
    seen: list[list[str]] = []

    def measured(_: object, slides: list[LoadedSlide]) -> dict[str, Measures]:
        seen.append([slide.id for slide in slides])
        return {"c": {"pq": 0.5}}

    monkeypatch.setattr("training.experiments.judge.segmentation_by_slide", measured)
    now.segmenter = lambda path: None  # type: ignore[method-assign, assignment, return-value]
    for judge in (Judge(now), Judge(now)):
        assert judge.segmentation_by_slide(segnet) == {"c": {"pq": 0.5}}
    assert seen == [["c-kidney", "d-breast"]]
