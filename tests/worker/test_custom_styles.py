"""Custom styles, on a disk and in S3."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from model.checkpoint import read_card
from model.errors import (
    SianError,
    StyleIsPreset,
    StyleNameInvalid,
    StyleNameTaken,
    StyleOutdated,
    StylesFull,
    StyleUnknown,
)
from worker import custom_styles
from worker.artifacts import Artifacts
from worker.custom_styles import SCOPE, CustomStyle, CustomStyles
from worker.style import Reference, Style

LIMIT = 3


@pytest.fixture
def card(checkpoint):
    return read_card(checkpoint)


@pytest.fixture(params=["disk", "s3"])
def places(request, tmp_path, monkeypatch):
    """Opens the same artifacts, again and again."""
    url = tmp_path / "artifacts"
    if request.param == "s3":
        s3 = request.getfixturevalue("own_s3")
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        url = s3.url("styles")
    opened = []

    def place() -> Artifacts:
        opened.append(Artifacts(url))
        return opened[-1]

    yield place
    for artifacts in opened:
        artifacts.close()


@pytest.fixture
def kept(places, card):
    return CustomStyles(places(), card, limit=LIMIT)


@pytest.fixture
def encoded(card):
    """A style as its job makes it."""

    def encoded(image="ab", seed=0, mpp=None):
        vector = np.random.default_rng(seed).normal(size=card.style_dim).astype(np.float32)
        return CustomStyle.encoded(vector, card, image_sha256=image, mpp=mpp)

    return encoded


def test_is_found_as_it_was_kept(kept, encoded, places, card):
    style = encoded()
    kept.keep("ward-3", style)
    again = CustomStyles(places(), card, limit=LIMIT).get("ward-3")  # as after a restart
    np.testing.assert_array_equal(again.vector, style.vector)
    assert again.vector.dtype == np.float32
    assert again.provenance() == {**style.provenance(), "name": "ward-3"}
    assert kept.names() == {"ward-3": True}


@pytest.mark.parametrize("name", ["", "Ward", "wärd", "-ward", "a" * 65, "../ward", "a.b", "a\n"])
def test_refuses_names_that_are_not_well_formed(kept, encoded, name):
    with pytest.raises(StyleNameInvalid, match="lower case"):
        kept.keep(name, encoded())
    with pytest.raises(StyleUnknown, match="colon, kidney, liver"):
        kept.get(name)
    with pytest.raises(StyleUnknown):
        kept.delete(name)
    assert kept.names() == {}


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "ward_3-b"])
def test_takes_the_others(kept, encoded, name):
    kept.keep(name, encoded())
    assert kept.get(name).image_sha256 == "ab"


def test_a_preset_is_neither_replaced_nor_deleted(kept, encoded):
    with pytest.raises(StyleIsPreset):
        kept.keep("kidney", encoded())
    with pytest.raises(StyleIsPreset):
        kept.delete("kidney")


def test_a_name_belongs_to_one_image(kept, encoded):
    kept.keep("ward", encoded("ab", seed=1))
    first = kept.get("ward").vector
    kept.keep("ward", encoded("ab", seed=1, mpp=0.25))  # the checkpoint's own, said or not
    for other in (encoded("cd"), encoded("ab", mpp=0.5)):
        with pytest.raises(StyleNameTaken, match="another name"):
            kept.keep("ward", other)
    np.testing.assert_array_equal(kept.get("ward").vector, first)


def test_of_several_at_once_one_has_the_name(kept, encoded):
    def keep(image):
        try:
            kept.keep("ward", encoded(image))
        except StyleNameTaken:
            return None
        return image

    with ThreadPoolExecutor(4) as pool:
        winners = [image for image in pool.map(keep, ["a", "b", "c", "d"]) if image]
    assert winners == [kept.get("ward").image_sha256]


def test_keeps_no_more_than_the_limit(kept, encoded):
    for name in ("a", "b", "c"):
        kept.keep(name, encoded())
    with pytest.raises(StylesFull, match=r"3 custom styles.*delete"):
        kept.keep("d", encoded())
    kept.keep("a", encoded())  # it is there already
    kept.delete("b")
    kept.keep("d", encoded())
    assert list(kept.names()) == ["a", "c", "d"]


def test_deletes(kept, encoded):
    kept.keep("ward", encoded())
    kept.delete("ward")
    for use in (kept.get, kept.delete):
        with pytest.raises(StyleUnknown, match="'ward'"):
            use("ward")
    assert kept.names() == {}


def test_another_checkpoint_does_not_take_it_for_its_own(kept, encoded, places, card):
    kept.keep("ward", encoded("ab"))
    other_card = replace(card, sha256="0" * 64)
    other = CustomStyles(places(), other_card, limit=LIMIT)
    assert other.names() == {"ward": False}
    with pytest.raises(StyleOutdated, match=r"another checkpoint.*POST /styles again"):
        other.get("ward")
    # What it says to do works, and leaves the first checkpoint what it has.
    other.keep("ward", replace(encoded("cd"), checkpoint_sha256=other_card.sha256))
    assert other.get("ward").image_sha256 == "cd"
    assert kept.get("ward").image_sha256 == "ab"
    other.delete("ward")
    assert kept.names() == other.names() == {}


def test_a_preset_of_another_checkpoint_hides_it(kept, encoded, places, card):
    for name in ("a", "b", "ward"):
        kept.keep(name, encoded())
    presets = {**card.styles, "ward": card.styles["kidney"]}
    other_card = replace(card, sha256="0" * 64, styles=presets)
    other = CustomStyles(places(), other_card, limit=LIMIT)
    assert other.names() == {"a": False, "b": False}
    with pytest.raises(StyleIsPreset):
        other.delete("ward")
    other.keep("c", replace(encoded(), checkpoint_sha256=other_card.sha256))  # there is room
    with pytest.raises(StylesFull):
        other.check("d", Reference("ab", card.mpp))
    assert kept.get("ward").image_sha256 == "ab"  # if the first checkpoint is served again
    assert kept.names() == {"a": True, "b": True, "c": False, "ward": True}


def test_does_not_keep_what_another_checkpoint_encoded(kept, encoded):
    with pytest.raises(StyleOutdated, match=r"'ward'.*another checkpoint.*POST /styles again"):
        kept.keep("ward", replace(encoded(), checkpoint_sha256="0" * 64))
    assert kept.names() == {}
    kept.keep("ward", encoded())
    assert kept.get("ward").image_sha256 == "ab"


def test_hashes_that_begin_alike_are_told_apart(kept, encoded, places, card):
    kept.keep("ward", encoded())
    alike = replace(card, sha256=card.sha256[:16] + "0" * 48)
    with pytest.raises(StyleOutdated):
        CustomStyles(places(), alike, limit=LIMIT).get("ward")


def test_other_files_are_no_styles(kept, places):
    places().put(SCOPE, "notes.txt", b"")
    assert kept.names() == {}


def test_finds_those_that_a_style_names(kept, encoded):
    kept.keep("ward", encoded())
    assert list(kept.of(Style(weights={"kidney": 1.0, "ward": 2.0}))) == ["ward"]
    assert list(kept.of(Style(name="ward"))) == ["ward"]
    assert kept.of(Style(name="kidney")) == kept.of(Style(image_sha256="ab")) == {}
    with pytest.raises(SianError, match="'spleen'"):
        kept.of(Style(weights={"spleen": 1.0}))


def test_travels_with_a_job_to_its_own_checkpoint_only(encoded, card):
    style = encoded(seed=3)
    data = custom_styles.to_file({"ward": style})
    (name, back), = custom_styles.from_file(data, card).items()  # fmt: skip
    assert (name, back.reference) == ("ward", Reference("ab", card.mpp))
    np.testing.assert_array_equal(back.vector, style.vector)
    with pytest.raises(StyleOutdated, match="'ward'"):
        custom_styles.from_file(data, replace(card, sha256="0" * 64))
