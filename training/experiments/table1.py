"""Tables 1 and 2: every method's tiles of the test masks, against the real test tiles.

Table 1 covers all organs, table 2 takes the same tiles apart by organ.
"""

from collections.abc import Sequence
from pathlib import Path

from model.errors import ParameterInvalid
from training.experiments.floors import floors, floors_by_organ, of_organ
from training.experiments.judge import Judge
from training.experiments.laboratory import Laboratory
from training.experiments.measures import FeatureSpaces
from training.experiments.pictures import Pictures
from training.experiments.rows import Row
from training.experiments.styles import StyleSource, judged_set, sources_of

_SEGNET = "real-augmented"


def table_1(laboratory: Laboratory, spaces: FeatureSpaces, methods: Sequence[str]) -> list[Row]:
    """A row for each method and source of styles, below the rows of real tiles.

    DQ, SQ, PQ and AJI are of a SegNet trained on real training tiles, applied to the synthetic
    tiles and scored against the masks that these were drawn from.
    """
    train_all(laboratory, methods)  # before the SegNet: who runs out of time has networks
    judge, segnet = Judge(laboratory, spaces), real_segnet(laboratory)
    rows = floors(laboratory, judge, segnet)
    for method in methods:
        for source in sources_of(laboratory.methods[method]):
            rows.append(judged_row(laboratory, judge, segnet, method, source))
    return rows


def train_all(laboratory: Laboratory, methods: Sequence[str]) -> None:
    """Train the methods, with all their seeds, in this order."""
    laboratory.check_all(methods)
    for method in methods:
        for seed in laboratory.scale.seeds_of(laboratory.methods[method]):
            laboratory.train(method, seed)


def judged_row(
    laboratory: Laboratory, judge: Judge, segnet: Path, method: str, source: StyleSource
) -> Row:
    """Everything that is measured of a method's tiles of the judged masks, over its seeds."""
    seeds = laboratory.scale.seeds_of(laboratory.methods[method])
    drawn = [draw_judged(laboratory, method, seed, source) for seed in seeds]
    values = [
        judge.distances(each)
        | judge.similarity(each)
        | judge.segmentation(segnet, each)
        | judge.appearance(each)
        for each in drawn
    ]
    facts = {
        "style_source": source,
        "tiles": len(judge.tiles),
        **laboratory.facts(method, seeds),
    }
    return Row(method, laboratory.methods[method].title, seeds, values, facts)


def table_2(laboratory: Laboratory, spaces: FeatureSpaces, methods: Sequence[str]) -> list[Row]:
    """A row for each method, source of styles and organ with two judged tiles or more, below the
    floors of the organs.

    Raises ParameterInvalid when there is no such organ.
    """
    laboratory.check_all(methods)
    judge = Judge(laboratory, spaces)
    if not judge.places:
        raise ParameterInvalid(
            f"Of {len(judge.tiles)} judged tiles no organ has two, and a distance needs two. "
            "Raise --tiles."
        )
    rows = floors_by_organ(laboratory, judge)
    for method in methods:
        for source in sources_of(laboratory.methods[method]):
            seeds = laboratory.scale.seeds_of(laboratory.methods[method])
            measured = [
                judge.distances_by_organ(draw_judged(laboratory, method, seed, source))
                for seed in seeds
            ]
            for organ in judge.places:
                values = [by_organ[organ] for by_organ in measured]
                facts = {
                    "style_source": source,
                    **of_organ(judge, organ),
                    **laboratory.facts(method, seeds),
                }
                rows.append(Row(method, laboratory.methods[method].title, seeds, values, facts))
    return rows


def draw_judged(laboratory: Laboratory, method: str, seed: int, source: StyleSource) -> Pictures:
    """A method's tiles of the judged masks."""
    return laboratory.tiles(method, seed, judged_set(laboratory, source))


def real_segnet(laboratory: Laboratory, seed: int | None = None) -> Path:
    """SegNet trained on the real training slides with traditional augmentation; by default with the
    first seed, as the judge of synthetic tiles."""
    seed = laboratory.scale.seeds[0] if seed is None else seed
    return laboratory.segnet(_SEGNET, seed, augment=True)
