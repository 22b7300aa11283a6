import pytest
import torch

from training.profile import Profile


def test_counts_the_operations_of_one_step_forward_and_backward() -> None:
    profile = Profile()
    weight = torch.ones(4, 5, requires_grad=True)
    rows = torch.ones(3, 4)
    for _ in range(3):
        with profile.counting():
            (rows @ weight).sum().backward()
    assert profile.operations == 2 * (2 * 3 * 4 * 5)  # the product, and the gradient of weight


def test_times_the_steps_after_the_warm_up() -> None:
    profile = Profile()
    profile.operations = 5_000_000_000
    for _ in range(5):
        profile.add(images=4, seconds=100.0, waited=100.0)
    assert "more than 5 steps" in profile.report()
    for _ in range(10):
        profile.add(images=4, seconds=0.5, waited=0.1)
    assert profile.report() == (
        "profile: 8 images/s, 5 GFLOP a step, 0.01 TFLOP/s, 20.0% of the time waiting for data "
        "(10 steps)"
    )


def test_an_error_in_a_step_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError), Profile().counting():
        raise ZeroDivisionError
