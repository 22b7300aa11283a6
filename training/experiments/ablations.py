"""What the choices of the release network are worth, on slides that are set aside for it.

The test slides take no part: what is chosen by them could no longer be judged by them.
"""

from collections.abc import Sequence
from dataclasses import replace

from model.errors import DataInvalid
from training.data.monuseg import Slide
from training.experiments.floors import floors
from training.experiments.judge import Judge
from training.experiments.laboratory import Laboratory
from training.experiments.measures import FeatureSpaces
from training.experiments.rows import Row
from training.experiments.table1 import judged_row, real_segnet, train_all

_REAL = {
    "real-beside": "real tiles, cut between those that are judged",
    "real-training": "real tiles that are trained on: other slides",
    "real": "real tiles that are judged",
}


def set_aside(slides: Sequence[Slide]) -> list[Slide]:
    """The training slides: of each organ the last by id is to be judged, if it has two or more;
    the others are trained on.

    Raises DataInvalid when fewer than two slides can be judged, and the others trained on.
    """
    training = sorted((slide for slide in slides if slide.split == "train"), key=lambda s: s.id)
    last = {slide.organ: slide.id for slide in training}
    first = {slide.organ: slide.id for slide in reversed(training)}
    judged = {last[organ] for organ in last if last[organ] != first[organ]}
    if len(judged) < 2:
        raise DataInvalid(
            "The ablations judge one training slide of every organ that has two, and need two such "
            f"organs; the data folder has {len(judged)}. Add training slides."
        )
    return [replace(slide, split="test") if slide.id in judged else slide for slide in training]


def ablation_table(
    laboratory: Laboratory, spaces: FeatureSpaces, variants: Sequence[str]
) -> list[Row]:
    """A row for each variant, in the style of another tile of the slide, below those of real
    tiles."""
    train_all(laboratory, variants)
    judge, segnet = Judge(laboratory, spaces), real_segnet(laboratory)
    rows = floors(laboratory, judge, segnet, _REAL)
    return rows + [judged_row(laboratory, judge, segnet, each, "slide") for each in variants]
