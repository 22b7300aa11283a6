"""What is printed of each table: its title, columns, and notes."""

from dataclasses import dataclass

from training.experiments import printed
from training.experiments.columns import (
    APPEARANCE,
    DISTANCES,
    GAIN,
    KID_ERROR,
    QUALITY,
    SSIM,
    Column,
)


@dataclass(frozen=True)
class TableKind:
    """What is printed of a table: its title, columns, and the paper's values by row name.

    segnet: a SegNet takes part in it, on tiles, or on ``whole_slides``. own_width: its generators
    are compact, as they are.
    on_test: the test slides are judged. ordered: it is said which of the paper's orderings hold.
    """

    title: str
    columns: tuple[Column, ...]
    printed: dict[str, dict[str, float]]
    facts: tuple[str, ...]
    notes: str
    segnet: bool = True
    whole_slides: bool = False
    own_width: bool = False
    on_test: bool = True
    ordered: bool = False


_ON_DISTANCES = (
    "FID-768, -1280 and -2048 are Frechet distances between features of the Inception of 2015 "
    "(Mixed_6e, Mixed_7a, pool3), FID-Lite0 between those of EfficientNet-Lite0; the paper's are "
    "of the 2048 features, of an unknown number of tiles. Much of a Frechet distance of so few "
    "tiles is bias, less of it for a method whose tiles vary less: it can put a poorer method "
    "first. KID-768, the kernel distance between the 768 features, has no such bias. Its spread is "
    "the standard deviation over 100 random subsets of half the tiles, for these slides only, a "
    "mean over the seeds. "
)

_OVER_SLIDES = (
    "The error of KID over slides, the jackknife's, says how far other judged slides could have "
    "moved it, a mean over the seeds; it is too small for real tiles of other slides, which are "
    "never left out. "
)

_ON_APPEARANCE = (
    "Lab distance, gradient energy and haematoxylin AUC as in `sian evaluate`; in the last row of "
    "real tiles, those of the judged tiles themselves. "
)

KINDS: dict[str, TableKind] = {
    "table1": TableKind(
        "Table 1: image quality on the test slides",
        (*DISTANCES, SSIM, *QUALITY, *APPEARANCE),
        printed.TABLE_1,
        ("style_source", "tiles"),
        _ON_DISTANCES
        + _OVER_SLIDES
        + "Style: `same`, the real tile of the mask, as the paper's reconstruction measures imply; "
        "`slide`, another tile of its slide; `none`, the method takes no style. DQ, SQ, PQ and AJI "
        "are of a SegNet trained on real training tiles, applied to the synthetic tiles and scored "
        "against the masks these were drawn from, tile by tile; another SegNet could order them "
        "otherwise. "
        + _ON_APPEARANCE
        + "They are taken against another tile of the slide in every row: a method that does not "
        "follow the style is far from it.",
        ordered=True,
    ),
    "ablations": TableKind(
        "Ablations of the release network, on training slides that were set aside",
        (*DISTANCES, SSIM, *QUALITY, *APPEARANCE),
        {},
        ("style_source", "tiles"),
        _ON_DISTANCES
        + _OVER_SLIDES
        + "The last training slide of every organ that has two was set aside: nothing saw it, and "
        "its tiles are judged, each drawn from its mask in the style of another tile of its slide. "
        "The test slides take no part. DQ, SQ, PQ and AJI as in table 1. "
        + _ON_APPEARANCE
        + "By chance alone one run in twenty lies more than five standard deviations of three runs "
        "from their mean (Student's t, 2 degrees of freedom), in each of the columns: a row of one "
        "seed says little unless it differs from `release` by more than that.",
        own_width=True,
        on_test=False,
    ),
    "table2": TableKind(
        "Table 2: distances by organ",
        tuple(column for column in DISTANCES if column != KID_ERROR),
        {},
        ("organ", "style_source", "slides", "tiles"),
        _ON_DISTANCES
        + "An organ has far fewer tiles than there are features, of one to three slides, which are "
        "too few to tell how far other slides could have moved its KID: compare by KID, and no "
        "closer than the rows of real tiles suggest. An organ with one judged tile has no row.",
        segnet=False,
        ordered=True,
    ),
    "table3": TableKind(
        "Table 3: SegNet with synthetic training tiles, on the real test slides",
        (*QUALITY, *GAIN),
        printed.TABLE_3,
        ("synthetic", "generators"),
        "Every row from the second on has traditional augmentation; crops lie at random places in "
        "all of them. All SegNets take the same number of steps: with synthetic tiles they see "
        "each real one less often, which can cost more than the added tiles bring. Scores are "
        "means over whole slides. *Over the augmented real set*: the PQ of each SegNet less that "
        "of the one of the same seed on that set; its error over slides is the standard error of "
        "these differences, a mean over the seeds. A gain that is not several times both is "
        "chance. A method with as many generators as seeds draws with another one for each SegNet; "
        "what the seeds of the others show is the SegNet's alone.",
        whole_slides=True,
    ),
}
