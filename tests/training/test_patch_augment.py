"""DiffAugment: each change alone, against numbers by hand."""

import pytest
import torch
from torch import Tensor

from training.patch_augment import PatchAugment

SIDE = 16


def change(**options: object) -> PatchAugment:
    """For one crop; leaves it as it is but for what is given."""
    nothing = {"brightness": 0.0, "saturation": 1.0, "contrast": 1.0}
    colours = {
        key: torch.full((1, 1, 1, 1), float(options.get(key, value)))  # type: ignore[arg-type]
        for key, value in nothing.items()
    }
    shift = torch.tensor([options.get("shift", (0, 0))])
    hole = torch.tensor([options.get("hole", (SIDE, SIDE))])
    return PatchAugment(**colours, shift=shift, hole=hole)


@pytest.fixture
def crop() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(1, 5, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE) * 2 - 1


def test_no_change_changes_nothing(crop: tuple[Tensor, Tensor]) -> None:
    condition, image = change()(*crop)
    torch.testing.assert_close(condition, crop[0], rtol=0, atol=0)
    torch.testing.assert_close(image, crop[1])


def test_colours_are_those_of_the_image_alone(crop: tuple[Tensor, Tensor]) -> None:
    _, brighter = change(brightness=0.3)(*crop)
    torch.testing.assert_close(brighter, crop[1] + 0.3)
    _, grey = change(saturation=0.0)(*crop)
    torch.testing.assert_close(grey, crop[1].mean(1, keepdim=True).expand(-1, 3, -1, -1))
    condition, flat = change(contrast=0.5)(*crop)
    torch.testing.assert_close(flat.mean(), crop[1].mean())
    torch.testing.assert_close(flat.std(), crop[1].std() / 2)
    assert torch.equal(condition, crop[0])


def test_a_shift_moves_both_and_brings_in_nothing(crop: tuple[Tensor, Tensor]) -> None:
    for moved, was in zip(change(shift=(3, -2))(*crop), crop, strict=True):
        torch.testing.assert_close(moved[..., 3:, :-2], was[..., :-3, 2:])
        assert (moved[..., :3, :] == 0).all()
        assert (moved[..., -2:] == 0).all()


def test_a_hole_has_half_the_side_and_may_lie_partly_outside(crop: tuple[Tensor, Tensor]) -> None:
    for holed, was in zip(change(hole=(4, -5))(*crop), crop, strict=True):
        assert (holed[..., 4:12, :3] == 0).all()
        kept = holed != 0
        kept[..., 4:12, :3] = True
        assert kept.all()
        torch.testing.assert_close(holed[..., 3:], was[..., 3:])


def test_every_crop_has_a_change_of_its_own_within_the_published_bounds() -> None:
    drawn = PatchAugment.draw(500, 64, torch.Generator().manual_seed(0))
    for values, low, high in (
        (drawn.brightness, -0.5, 0.5),
        (drawn.saturation, 0.0, 2.0),
        (drawn.contrast, 0.5, 1.5),
        (drawn.shift, -8, 8),
        (drawn.hole, -16, 48),
    ):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high >= values.max() > high - 0.1 * (high - low)
    again = PatchAugment.draw(500, 64, torch.Generator().manual_seed(0))
    assert torch.equal(again.hole, drawn.hole)


def test_crops_that_are_not_square_are_refused(crop: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="square"):
        change()(crop[0][..., 1:], crop[1][..., 1:])


def test_the_gradient_is_that_of_what_is_still_to_be_seen(crop: tuple[Tensor, Tensor]) -> None:
    image = crop[1].requires_grad_()
    _, shown = change(shift=(5, 0), hole=(12, -8))(crop[0], image)
    shown.sum().backward()
    assert image.grad is not None
    expected = torch.ones_like(image)
    expected[..., -5:, :] = 0  # moved out
    torch.testing.assert_close(image.grad, expected)
