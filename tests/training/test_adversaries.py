"""What the discriminators are shown, and how steep they may be."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.training.fakes import CheapFeatures
from training.adversaries import Adversaries, Pair
from training.config import LossWeights, TrainConfig
from training.discriminator import Features

MakeConfig = Callable[..., TrainConfig]
SIDE = 32


class Linear(nn.Module):
    """Scores the mean of an image, times a slope; keeps what it was shown."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.shown: list[tuple[Tensor, Tensor]] = []

    def forward(self, condition: Tensor, image: Tensor) -> list[Features]:
        self.shown.append((condition, image))
        return [[image.mean(1, keepdim=True), self.slope * image.mean((1, 2, 3))]]


def adversaries(config: TrainConfig, slope: float = 3.0) -> tuple[Adversaries, Linear]:
    made, linear = Adversaries(config), Linear(slope)
    made.patch = linear  # type: ignore[assignment]
    return made, linear


def pair() -> Pair:
    source, features = torch.Generator().manual_seed(0), CheapFeatures()
    real, fake = (torch.rand(2, 3, SIDE, SIDE, generator=source) * 2 - 1 for _ in "rf")
    condition = torch.rand(2, 5, SIDE, SIDE, generator=source)
    classes = torch.randint(0, 3, (2, SIDE, SIDE), generator=source)
    return Pair(real, fake, features(real), features(fake), condition, classes)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_the_penalty_is_half_the_squared_slope(tiny_config: MakeConfig, step: int) -> None:
    made, linear = adversaries(tiny_config(r1=5.0), slope=3.0)
    terms = made.of_themselves(pair(), torch.Generator(), step)
    # The mean of n values has the gradient 1 / n at each of them: squared and summed, 1 / n.
    expected = 5.0 / 2 * 3.0**2 / (3 * SIDE * SIDE)
    assert terms["r1"].item() == pytest.approx(expected, rel=1e-5)
    terms["r1"].backward()
    assert linear.slope.grad is not None
    assert linear.slope.grad.item() == pytest.approx(2 * expected / 3.0, rel=1e-5)
    crop = linear.shown[-1][1]
    assert torch.equal(crop, pair().real[step % 2][None])


def test_without_a_weight_there_is_no_penalty(tiny_config: MakeConfig) -> None:
    made, linear = adversaries(tiny_config())
    assert "r1" not in made.of_themselves(pair(), torch.Generator(), 0)
    assert len(linear.shown) == 2


def test_real_and_synthetic_crops_are_shown_with_the_same_change(tiny_config: MakeConfig) -> None:
    made, linear = adversaries(tiny_config(diff_augment=True))
    given = pair()
    same = Pair(
        given.real, given.real, given.real_taps, given.real_taps, given.condition, given.classes
    )
    source = torch.Generator().manual_seed(1)
    terms = made.of_generator(same, source)
    assert terms["feature"].item() == 0
    made.of_themselves(same, source, 0)
    fake, real, real_again, fake_again = linear.shown
    assert torch.equal(real[0], fake[0])
    assert torch.equal(real[1], fake[1])
    assert torch.equal(real_again[1], fake_again[1])
    assert not torch.equal(real[1], real_again[1])
    for condition, image in (real, real_again):
        assert (condition == 0).all(1).float().mean() > 0.05  # what is hidden of one
        assert torch.equal((condition == 0).all(1), (image == 0).all(1))  # is hidden of the other


def test_other_discriminators_see_the_crops_as_they_are(tiny_config: MakeConfig) -> None:
    weights = LossWeights(projected=1.0, segmentation=1.0)
    given = pair()
    found = []
    for diff_augment in (False, True):
        torch.manual_seed(0)
        made = Adversaries(tiny_config(weights=weights, diff_augment=diff_augment)).eval()
        source = torch.Generator().manual_seed(0)
        terms = made.of_generator(given, source) | made.of_themselves(given, source, 0)
        found.append({name: value.item() for name, value in terms.items()})
    plain, changed = found
    for name in plain:
        assert (plain[name] == changed[name]) == (name not in ("adversarial", "discriminator"))


def test_pixel_classes_are_asked_for(tiny_config: MakeConfig) -> None:
    made = Adversaries(tiny_config(weights=LossWeights(segmentation=1.0)))
    given = pair()
    without = Pair(given.real, given.fake, given.real_taps, given.fake_taps, given.condition)
    with pytest.raises(ValueError, match="classes"):
        made.of_generator(without, torch.Generator())


def test_terms_are_float32_where_layers_compute_in_bf16(tiny_config: MakeConfig) -> None:
    """The penalty keeps to it inside too: it is a gradient of a gradient."""
    weights = LossWeights(projected=1.0, segmentation=1.0)
    torch.manual_seed(0)
    made = Adversaries(tiny_config(weights=weights, r1=1000.0, diff_augment=True)).eval()
    found = []
    for is_half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            terms = made.of_themselves(pair(), torch.Generator().manual_seed(0), 0)
        assert {value.dtype for value in terms.values()} == {torch.float32}
        found.append({name: value.item() for name, value in terms.items()})
    in_full, in_half = found
    assert in_half == pytest.approx(in_full, rel=0.02)
    assert in_half["r1"] == pytest.approx(in_full["r1"], rel=1e-6)
