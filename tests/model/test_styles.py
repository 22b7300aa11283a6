"""The preset bank and mixing."""

import numpy as np
import pytest

from model.errors import StyleUnknown, StyleWeightsInvalid
from model.styles import StyleBank, mixed, shares_of

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


def test_further_styles_join_and_replace_no_preset() -> None:
    vector = np.array([7, 9], np.float32)
    bank = BANK.joined({"ward": vector, "kidney": vector})
    assert bank.organs == ["kidney", "liver", "ward"]
    for of_ward in (bank.pick("ward", 5), bank.vector("ward"), bank.mix({"ward": 0.1})):
        np.testing.assert_array_equal(of_ward, vector)
    np.testing.assert_array_equal(bank.vector("kidney"), BANK.vector("kidney"))
    np.testing.assert_allclose(
        bank.mix({"ward": 1, "kidney": 3}), 0.25 * vector + 0.75 * BANK.vector("kidney")
    )
    assert BANK.organs == ["kidney", "liver"]


def test_vectors_are_mixed_by_their_shares() -> None:
    vectors = [np.array(values, np.float32) for values in ([0, 8], [4, 0], [8, 8])]
    shares = shares_of({0: 2.0, 1: 1.0, 2: 1.0})
    assert shares == {0: 0.5, 1: 0.25, 2: 0.25}
    np.testing.assert_array_equal(mixed(vectors, list(shares.values())), [3, 6])
    tiny = np.array([0.1, 1e-30], np.float32)
    np.testing.assert_array_equal(mixed([vectors[0], tiny], [0.0, 1.0]), tiny)


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
