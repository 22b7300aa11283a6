"""Noise is a function of position, seed and plane."""

import numpy as np

from model.noise import noise_window


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
