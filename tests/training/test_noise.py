"""The noise of a training step."""

import torch

from model.generator import Generator
from tests.networks import TINY, TINY_BY_NUCLEUS
from training.noise import draw_noise

LAYOUT = torch.zeros(2, 5, 64, 32)


def test_every_stage_has_its_own() -> None:
    noise = draw_noise(Generator(TINY), LAYOUT, None, torch.randn)
    assert [tuple(plane.shape[1:]) for plane in noise] == Generator(TINY).noise_shapes(64, 32)
    assert {plane.shape[0] for plane in noise} == {2}
    assert all(0.5 < plane.std() < 1.5 for plane in noise)


def test_a_nucleus_has_one_value_and_the_stroma_none() -> None:
    nuclei = torch.zeros(2, 64, 32, dtype=torch.int64)
    nuclei[:, 5:20, 3:9] = 1
    nuclei[:, 20:30, 3:9] = 2
    nuclei[1, 0, 0] = 64 * 32  # as many as there can be
    plane = draw_noise(Generator(TINY_BY_NUCLEUS), LAYOUT, nuclei, torch.randn)[-1]
    assert plane.shape == (2, 1, 64, 32)
    assert (plane[:, 0][nuclei == 0] == 0).all()
    values = [plane[item, 0][nuclei[item] == each].unique() for item in (0, 1) for each in (1, 2)]
    assert [len(value) for value in values] == [1] * 4
    assert len(torch.cat(values).unique()) == 4


def test_the_values_are_those_of_a_normal_distribution() -> None:
    nuclei = torch.arange(1, 64 * 32 + 1).view(1, 64, 32)
    plane = draw_noise(Generator(TINY_BY_NUCLEUS), LAYOUT[:1], nuclei, torch.randn)[-1]
    assert abs(plane.mean()) < 0.1
    assert abs(plane.std() - 1) < 0.1
