import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.evaluation.tiles import Tile
from training.experiments.figures import densest_cluster, organ_places, write_figures
from training.experiments.laboratory import Laboratory
from training.experiments.report import stem_of
from training.experiments.scale import SCALES
from training.methods import METHODS

Make = Callable[..., Laboratory]


def test_the_densest_cluster_is_where_nuclei_touch_most() -> None:
    mask = np.zeros((256, 256), np.int32)
    mask[20:30, 20:30], mask[20:30, 30:40] = 1, 2  # 10 contacts
    mask[120:150, 110:130], mask[120:150, 130:150] = 3, 4  # 30 contacts
    contacts, top, left = densest_cluster(mask)
    assert contacts == 30
    assert abs(top + 48 - 135) <= 1  # in the middle of the window
    assert abs(left + 48 - 130) <= 1
    assert densest_cluster(np.ones((128, 128), np.int32))[0] == 0
    small = np.repeat([[1, 2]], 32, axis=1).repeat(64, axis=0).astype(np.int32)
    assert densest_cluster(small) == (64, 0, 0)  # no smaller window than the tile


def tile(slide_id: str, organ: str, top: int, left: int) -> Tile:
    empty = np.zeros((8, 8), np.int32)
    return Tile(slide_id, organ, top, left, np.zeros((8, 8, 3), np.uint8), empty)


def test_an_organ_is_shown_by_the_middle_of_its_first_slide() -> None:
    grid = [(top, left) for top in (0, 248, 496) for left in (0, 248, 496)]
    thinned = [(0, 0), (248, 620), (620, 248)]  # the last one is in no corner
    tiles = [tile("a", "lung", *place) for place in grid]
    tiles += [tile("b", "brain", *place) for place in thinned]
    tiles += [tile("c", "lung", *place) for place in grid]
    assert organ_places(tiles) == {"brain": 9 + 1, "lung": 4}


def test_figures_of_other_options_or_some_methods_replace_no_others() -> None:
    paper = SCALES["paper"]
    changed, smoke = paper.with_options(steps=9), SCALES["smoke"]
    assert stem_of("figure1", paper, list(METHODS)) == "figure1-paper"
    assert stem_of("figure1", smoke, list(METHODS)) == "figure1-smoke"
    assert stem_of("figure1", paper, ["sian", "spade"]) == "figure1-paper-spade-sian"
    assert stem_of("figure5", changed, list(METHODS)) == "figure5-paper-steps9"


def test_a_table_with_a_checkpoint_replaces_none_without_or_with_another() -> None:
    smoke, label = SCALES["smoke"], "checkpoint-12345678"
    whole = stem_of("table1", smoke, [*METHODS, "checkpoint"], given=label)
    assert whole == "table1-smoke-all-checkpoint-12345678"
    alone = stem_of("table1", smoke, ["checkpoint"], given=label)
    assert alone == "table1-smoke-checkpoint-12345678"
    two = stem_of("table1", smoke, ["checkpoint", "spade"], given=label)
    assert two == "table1-smoke-spade-checkpoint-12345678"


def test_figures_tell_what_they_were_made_from(copying: Make, tmp_path: Path) -> None:
    now = copying(test_tiles=4)
    paths = write_figures(now, ["spade", "pix2pix"], tmp_path / "out", command="sian experiment")
    assert [path.name for path in paths] == [
        *(f"figure{k}-{now.scale.stem}-pix2pix-spade.png" for k in (1, 4, 5)),
        f"figures-{now.scale.stem}-pix2pix-spade.json",
    ]
    assert all(path.stat().st_size for path in paths)
    told = json.loads(paths[-1].read_text())
    assert told["command"] == "sian experiment"
    assert told["device"] == "cpu"
    assert list(told["figures"]) == [path.stem for path in paths[:-1]]
    assert told["tiling"] == {"tile_px": 256, "stride_px": 248}
    places = [(tile["slide"], tile["top"], tile["left"]) for tile in told["figures"][paths[0].stem]]
    assert places == [("d-breast", 0, 0), ("c-kidney", 0, 0)]
    clusters = told["figures"][paths[2].stem]
    assert sorted(tile["slide"] for tile in clusters) == ["c-kidney", "d-breast"]  # one of each
    assert [(row["method"], row["style_source"]) for row in told["rows"]] == [
        ("spade", "same"),
        ("pix2pix", "none"),
    ]
