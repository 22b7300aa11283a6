"""The ablations: their slides, their variants, their table."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from model.errors import DataInvalid
from tests.training.experiments.stand_ins import Blocks, spaces
from training.ablations import VARIANTS
from training.data.crops import CropDataset, LoadedSlide
from training.data.monuseg import Slide, read_dataset
from training.distributed import Process
from training.experiments.ablations import ablation_table, set_aside
from training.experiments.identity import _flat
from training.experiments.kinds import KINDS
from training.experiments.laboratory import Laboratory
from training.experiments.report import page
from training.experiments.scale import SCALES
from training.networks import build
from training.step import Stepper

Make = Callable[..., Laboratory]


def test_a_slide_of_every_organ_is_set_aside_and_the_test_slides_take_no_part(
    test_data: Path,
) -> None:
    slides = read_dataset(test_data / "data" / "monuseg")
    found = set_aside(slides)
    assert {slide.id for slide in found} == {slide.id for slide in slides if slide.split == "train"}
    judged = [slide for slide in found if slide.split == "test"]
    assert len(judged) == len({slide.organ for slide in judged}) == 7
    assert {slide.organ for slide in found if slide.split == "train"} == {s.organ for s in judged}


def test_one_slide_of_an_organ_is_trained_on(slides_of: Callable[[str], list[Slide]]) -> None:
    found = set_aside(slides_of("aabbc"))
    assert [slide.split for slide in found] == ["train", "test", "train", "test", "train"]


@pytest.mark.parametrize("organs", ["", "abc", "aab"])
def test_fewer_than_two_slides_to_judge_are_refused(
    slides_of: Callable[[str], list[Slide]], organs: str
) -> None:
    with pytest.raises(DataInvalid, match="two such organs"):
        set_aside(slides_of(organs))


@pytest.fixture
def slides_of() -> Callable[[str], list[Slide]]:
    """Training slides of these organs, a letter each, and a test slide."""

    def make(organs: str) -> list[Slide]:
        nowhere = Path("nowhere")
        training = [
            Slide(f"{k}", "train", organ, nowhere, nowhere) for k, organ in enumerate(organs)
        ]
        return [*training, Slide("9", "test", "a", nowhere, nowhere)]

    return make


# What goes together: the widths of one network, axes that need their encoder, two kinds of maps.
CHANGES = {"wide": 2, "no-colour-axes": 2, "nearest-maps": 2}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_release_network_in_one_thing(name: str) -> None:
    release, variant = (dict(_flat(VARIANTS[each].config.to_dict())) for each in ("release", name))
    differing = [key for key in release if release[key] != variant[key]]
    assert len(differing) == CHANGES.get(name, name != "release"), differing
    assert release.keys() == variant.keys()


def test_the_page_says_that_the_generators_keep_their_width() -> None:
    for scale, said in (
        ("cpu", "the release network's own width"),
        ("smoke", "Generators: width 8"),
    ):
        assert said in page(KINDS["ablations"], [], SCALES[scale], "")


def test_the_wide_network_fits_in_a_checkpoint_of_24_mib() -> None:
    with torch.device("meta"):
        networks = build(VARIANTS["wide"].config.network)
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    assert parameters * 2 < 24 * 2**20  # float16


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_takes_a_step(name: str, slides: list[LoadedSlide], vgg: nn.Module) -> None:
    scale = SCALES["smoke"].with_options(crop_px=64)
    config = scale.fitted(VARIANTS[name], seed=0)
    stepper = Stepper(config, vgg, Process(0, 1, torch.device("cpu")))
    samples = [CropDataset(slides, config)[k] for k in range(config.batch_size)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    before = [p.detach().clone() for p in stepper.generator.parameters()]
    terms = stepper(batch, 0)
    assert all(value.isfinite() for value in terms.values())
    after = list(stepper.generator.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_tiles_that_are_their_style_have_its_stain_and_texture(
    copying: Make, small_data: Path, tmp_path: Path
) -> None:
    found = read_dataset(small_data)
    # Two organs of two slides each: one is trained on, one is judged.
    slides = set_aside([replace(slide, split="train") for slide in found])
    laboratory = copying(slides=slides, methods=VARIANTS, test_tiles=4)
    rows = ablation_table(laboratory, spaces(Blocks(), tmp_path), ["release", "r1"])
    assert [row.name for row in rows] == ["real-beside", "real-training", "real", "release", "r1"]
    for row in rows[3:]:
        assert row.mean("lab") == pytest.approx(0, abs=1e-9)
        assert row.mean("energy") == pytest.approx(1)
        assert row.mean("ssim") < 0.9  # the style is another tile
        assert row.mean("fid_12") is not None
    assert rows[0].mean("lab") is None
    assert rows[2].mean("lab") > 0  # a real tile against another of its slide
    assert rows[2].title == "real tiles that are judged"
