"""The budget that the methods of a table share."""

import pytest

from training.experiments.scale import SCALES
from training.methods import METHODS


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_all_methods_have_the_same_crops_batch_and_steps(scale) -> None:
    configs = [scale.train_config(method, seed=1) for method in METHODS]
    for name in ("crop_px", "batch_size", "steps", "seed", "discriminator_width", "style_px"):
        assert len({getattr(config, name) for config in configs}) == 1, name


def test_the_schedule_of_the_paper_is_fifty_epochs() -> None:
    """1,470 crops of 256 px at a stride of 128 px on 30 slides of 1000 px, at batch 8."""
    config = SCALES["paper"].train_config("sian", seed=0)
    per_slide = (-(-(1000 - config.crop_px) // config.grid_stride_px) + 1) ** 2
    assert per_slide * 30 == 1_470
    assert config.steps * config.batch_size == pytest.approx(50 * 1_470, rel=0.01)
    assert config == METHODS["sian"].config


def test_networks_are_scaled_in_proportion() -> None:
    scale = SCALES["cpu"]
    sian, spade = (scale.train_config(method, seed=0).network for method in ("sian", "spade"))
    assert sian.widths == (256, 256, 256, 128, 64, 32, 16)
    assert sian.branch_filters == spade.hidden == 32
    assert (sian.start_side, spade.start_side) == (2, 4)
    release = scale.train_config("sian-release", seed=0).network
    assert release == METHODS["sian-release"].config.network


def test_sian_its_release_and_spade_have_several_seeds() -> None:
    scale = SCALES["paper"]
    assert {n for n, m in METHODS.items() if len(scale.seeds_of(m)) == 3} == {
        "sian",
        "sian-release",
        "spade",
    }
    assert scale.with_options(steps=7, width=None).steps == 7


def test_a_changed_scale_says_so() -> None:
    paper = SCALES["paper"]
    changed = paper.with_options(steps=10, crop_px=None).with_options(width=8, test_tiles=28)
    assert changed.note == "changed: steps 10, width 8, tiles 28."
    assert changed.stem == "paper-steps10-width8-tiles28"
    assert paper.with_options(steps=9_200) == paper
    assert SCALES["smoke"].with_options(steps=10).caveat == "Its numbers mean nothing."
    assert paper.stem == "paper"
    judged = paper.with_options(segnet_steps=20_000)
    assert judged.segnet_config(augment=True, seed=0).steps == 20_000
    assert judged.train_config("spade", seed=0) == paper.train_config("spade", seed=0)
    assert judged.stem == "paper-segnet-steps20000"


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_networks_are_judged_at_the_size_they_were_trained_at(scale) -> None:
    for now in (scale, scale.with_options(crop_px=256)):
        configs = [now.train_config(method, seed=0) for method in METHODS]
        assert {(config.crop_px, config.bn_px) for config in configs} == {(now.tile_px,) * 2}


def test_the_share_of_synthetic_crops_is_that_of_the_paper() -> None:
    scale = SCALES["paper"]
    share = scale.segnet_config(augment=True, seed=0).synthetic_share
    assert share == scale.synthetic / (scale.synthetic + 1_470)
    assert SCALES["cpu"].segnet_config(augment=True, seed=0).synthetic_share == 0.5


def test_a_segnet_has_no_larger_crops_than_there_are_tiles() -> None:
    scale = SCALES["cpu"]
    sides = {
        crop: scale.with_options(crop_px=crop).segnet_config(augment=True, seed=0).crop_px
        for crop in (64, 128, 256)
    }
    assert sides == {64: 64, 128: 128, 256: 128}
