import numpy as np

from training.experiments.figures import densest_cluster


def test_the_densest_cluster_is_where_nuclei_touch_most() -> None:
    mask = np.zeros((256, 256), np.int32)
    mask[20:30, 20:30], mask[20:30, 30:40] = 1, 2  # 10 contacts
    mask[120:150, 110:130], mask[120:150, 130:150] = 3, 4  # 30 contacts
    contacts, top, left = densest_cluster(mask)
    assert contacts == 30
    assert abs(top + 48 - 135) <= 1  # in the middle of the window
    assert abs(left + 48 - 130) <= 1
    assert densest_cluster(np.ones((128, 128), np.int32))[0] == 0
