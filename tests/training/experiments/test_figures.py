import numpy as np

from training.experiments.figures import densest_cluster, names
from training.experiments.scale import SCALES
from training.methods import METHODS


def test_the_densest_cluster_is_where_nuclei_touch_most() -> None:
    mask = np.zeros((256, 256), np.int32)
    mask[20:30, 20:30], mask[20:30, 30:40] = 1, 2  # 10 contacts
    mask[120:150, 110:130], mask[120:150, 130:150] = 3, 4  # 30 contacts
    contacts, top, left = densest_cluster(mask)
    assert contacts == 30
    assert abs(top + 48 - 135) <= 1  # in the middle of the window
    assert abs(left + 48 - 130) <= 1
    assert densest_cluster(np.ones((128, 128), np.int32))[0] == 0


def test_figures_of_other_options_or_some_methods_replace_no_others() -> None:
    paper = SCALES["paper"]
    assert names(paper, list(METHODS)) == ["figure1", "figure4", "figure5"]
    assert names(paper, ["sian", "spade"])[0] == "figure1-spade-sian"
    assert names(paper.with_options(steps=9), list(METHODS))[2] == "figure5-paper-steps9"
