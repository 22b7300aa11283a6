"""The preset bank and mixing."""

import numpy as np
import pytest

from model.errors import StyleUnknown, StyleWeightsInvalid
from model.styles import StyleBank

BANK = StyleBank(
    {
        "liver": np.array([[0, 0], [2, 4]], np.float32),
        "kidney": np.array([[10, 20]], np.float32),
    }
)


def test_vectors() -> None:
    assert BANK.organs == ["kidney", "liver"]
    np.testing.assert_array_equal(BANK.vector("liver"), [1, 2])
    assert BANK.exemplars("liver").shape == (2, 2)


def test_picks_depend_on_the_seed_alone_and_reach_every_exemplar() -> None:
    picks = [tuple(BANK.pick("liver", seed)) for seed in range(20)]
    assert picks == [tuple(BANK.pick("liver", seed)) for seed in range(20)]
    assert set(picks) == {(0, 0), (2, 4)}


def test_a_mix_is_a_convex_combination() -> None:
    np.testing.assert_allclose(BANK.mix({"liver": 3, "kidney": 1}), [3.25, 6.5])
    np.testing.assert_allclose(BANK.mix({"liver": 1e308, "kidney": 1e308}), [5.5, 11])
    np.testing.assert_allclose(BANK.mix({"kidney": 0.2}), BANK.vector("kidney"))
    assert BANK.mix({"liver": 1, "kidney": 0}).dtype == np.float32


@pytest.mark.parametrize(
    "weights", [{}, {"liver": -1}, {"liver": 0}, {"liver": float("nan")}, {"liver": float("inf")}]
)
def test_weights_that_mean_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(StyleWeightsInvalid):
        BANK.mix(weights)


def test_unknown_organs_are_refused_with_the_known_ones() -> None:
    for use in (lambda: BANK.vector("spleen"), lambda: BANK.mix({"spleen": 1})):
        with pytest.raises(StyleUnknown, match="kidney, liver"):
            use()
