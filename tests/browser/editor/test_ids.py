"""Ids are what they were, whatever is done beside them."""

import numpy as np
import pytest

from tests.browser.editor import shapes

_LARGEST = 2**31 - 1


def test_ids_of_any_size_and_in_pieces_are_kept(editor):
    draw = np.random.default_rng(3)
    ids = np.array([0, 1, 255, 256, 65_535, 65_536, 16_777_217, 2_000_000_011, _LARGEST])
    mask = draw.choice(ids, (61, 83)).astype(np.int32)  # every pixel touches other nuclei
    editor.load(mask)
    np.testing.assert_array_equal(editor.mask, mask)
    assert editor.page.evaluate("editor.nuclei") == len(ids) - 1


def test_edits_keep_the_ids_around_them(editor):
    mask = np.zeros((40, 48), np.int32)
    mask[5:15, 5:15] = 16_777_217  # the first that a 32-bit float does not hold
    mask[5:15, 15:25] = 16_777_218
    editor.load(mask)
    editor.set_radius(2)
    editor.click(30, 30)
    editor.choose("Erase")
    editor.click(15, 10)
    expected = np.where(shapes.disc(mask.shape, (15, 10), 2), 0, mask)
    expected[shapes.disc(mask.shape, (30, 30), 2)] = 16_777_219
    np.testing.assert_array_equal(editor.mask, expected)


def test_beyond_the_largest_id_the_smallest_free_one_is_taken(editor):
    mask = np.zeros((40, 48), np.int32)
    mask[2, 2:5] = [1, 2, _LARGEST]
    editor.load(mask)
    editor.set_radius(0)
    editor.click(20, 20)
    assert editor.mask[20, 20] == 3


def test_the_id_of_a_deleted_nucleus_is_free_again_if_it_was_the_largest(editor):
    mask = np.zeros((40, 48), np.int32)
    mask[2:8, 2:8] = 5
    mask[20:28, 20:28] = 900
    editor.load(mask)
    editor.choose("Select")
    editor.click(24, 24)
    editor.choose("Delete")
    editor.choose("Brush")
    editor.set_radius(0)
    editor.click(30, 10)
    assert editor.mask[10, 30] == 6


def test_the_mask_that_was_loaded_is_not_written_to(editor):
    kept = editor.page.evaluate(
        """() => {
            const mine = new Int32Array(64 * 64).fill(3, 0, 64);
            editor.load(mine, 64, 64);
            editor.labels.fill(9);
            return mine[0];
        }"""
    )
    assert kept == 3


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ("new Int32Array(11)", "A mask of 4 x 3 px needs an Int32Array of 12 ids; got 11."),
        ("new Int32Array(12).fill(-4)", "Ids of nuclei are 1 or more; the mask has -4."),
        ("new Float32Array(12)", "A mask of 4 x 3 px needs an Int32Array of 12 ids"),
    ],
)
def test_what_is_no_mask_is_refused_and_the_old_one_stays(editor, labels, complaint):
    mask = np.full((20, 20), 8, np.int32)
    editor.load(mask)
    refused = editor.page.evaluate(
        f"() => {{ try {{ editor.load({labels}, 4, 3); }} catch (error) "
        "{ return `${error.name}: ${error.message}`; } }"
    )
    assert refused.startswith(f"RangeError: {complaint}")
    np.testing.assert_array_equal(editor.mask, mask)
