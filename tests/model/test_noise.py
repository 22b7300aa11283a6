"""Noise is a function of position, seed and plane, or of seed and nucleus."""

import numpy as np

from model.noise import noise_window, nucleus_noise


def test_a_window_is_a_cut_from_the_whole() -> None:
    whole = noise_window(5, 0, top=0, left=0, height=200, width=150)
    part = noise_window(5, 0, top=33, left=64, height=100, width=70)
    np.testing.assert_array_equal(part, whole[33:133, 64:134])


def test_it_is_standard_normal_and_free_of_repeats() -> None:
    noise = noise_window(1, 3, top=0, left=0, height=512, width=512)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    chunks = noise.reshape(8, 64, 8, 64).transpose(0, 2, 1, 3).reshape(64, -1)
    correlation = np.corrcoef(chunks) - np.eye(64)
    assert np.abs(correlation).max() < 0.08  # 64 x 64 values: five sigma


def test_seeds_and_planes_are_independent() -> None:
    streams = [
        noise_window(seed, plane, top=0, left=0, height=128, width=128).ravel()
        for seed in (0, 1, 2**64 - 1)
        for plane in (0, 1)
    ]
    correlation = np.corrcoef(streams) - np.eye(6)
    assert np.abs(correlation).max() < 0.04


def test_a_nucleus_has_a_value_of_its_own_whatever_the_others_are() -> None:
    ids = np.array([0, 3, 70_000, 2**31 - 1])
    values = nucleus_noise(5, ids)
    assert values.dtype == np.float32
    assert values[0] == 0
    np.testing.assert_array_equal(nucleus_noise(5, ids[[2, 3]]), values[2:])
    assert not np.isclose(nucleus_noise(6, ids)[1:], values[1:]).any()


def test_the_values_of_nuclei_are_standard_normal_and_no_others() -> None:
    values = nucleus_noise(1, np.arange(1, 100_001))
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert len(np.unique(values)) > 99_000
    others = noise_window(1, 0, top=0, left=0, height=250, width=400).ravel()
    assert abs(np.corrcoef(values, others)[0, 1]) < 0.02
