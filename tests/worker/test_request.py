import json

import pytest

from model.errors import ParameterInvalid, StyleConflict, StyleMissing, StyleWeightsInvalid
from worker.job_request import StyleRequest, UnknownRequest, request_from_json
from worker.request import MAX_SEED, SynthesisRequest, draw_seed, tile_seed
from worker.style import Reference, Style, WeightedImage, parse_weights


def request(**changes) -> SynthesisRequest:
    fields = {"mask_sha256": "ab", "style": Style(name="kidney"), "seed": 7}
    return SynthesisRequest(**{**fields, **changes})


def test_the_first_tile_uses_the_seed_itself():
    assert request(seed=MAX_SEED, n=3).seeds()[0] == MAX_SEED


def test_tiles_have_seeds_of_their_own():
    seeds = [seed for first in range(50) for seed in request(seed=first, n=16).seeds()]
    assert len(set(seeds)) == len(seeds)


def test_derived_seeds_are_stable():
    # Written down: a change would make published seeds useless.
    assert request(n=3).seeds() == [7, tile_seed(7, 1), tile_seed(7, 2)]
    assert tile_seed(7, 1) == 7452896479269900
    assert all(0 <= seed < 2**53 for seed in request(n=16).seeds())


def test_drawn_seeds_differ_and_fit_a_double():
    drawn = {draw_seed() for _ in range(100)}
    assert len(drawn) == 100
    assert all(float(seed) == seed for seed in drawn)


@pytest.mark.parametrize(
    "changes", [{"seed": -1}, {"seed": 2**63}, {"n": 0}, {"n": 17}, {"mpp": 0.01}, {"mpp": 5.0}]
)
def test_refuses_values_out_of_range(changes):
    (name,) = changes
    with pytest.raises(ParameterInvalid, match=name):
        request(**changes)


def test_not_a_number_is_no_mpp():
    with pytest.raises(ParameterInvalid, match="mpp"):
        request(mpp=float("nan"))


@pytest.mark.parametrize(
    "style",
    [
        Style(name="kidney"),
        Style(weights={"kidney": 0.1, "liver": 2.0}),
        Style(image_sha256="cd"),
        Style(images=(WeightedImage("cd", 0.25), WeightedImage("ef", 1.0))),
        Style(weights={"ward": 1.0, "liver": 2.0}, custom={"ward": Reference("cd", 0.25)}),
    ],
)
def test_survives_json(style):
    original = request(style=style, seed=MAX_SEED, n=4, mpp=0.5, label_components=True)
    assert request_from_json(original.to_json()) == original


@pytest.mark.parametrize(
    ("style", "read"),
    [
        ('{"image_sha256": null, "organ": "kidney", "weights": null}', Style(name="kidney")),
        ('{"image_sha256": "cd", "organ": null, "weights": null}', Style(image_sha256="cd")),
        (
            '{"image_sha256": null, "organ": null, "weights": {"liver": 2.0}}',
            Style(weights={"liver": 2.0}),
        ),
    ],
)
def test_reads_what_was_queued_before_there_were_kinds(style, read):
    # Written down: such records may wait in the stores of services that are brought up to date.
    text = (
        '{"label_components": false, "large": false, "mask_sha256": "ab", "mask_size": [64, 80], '
        f'"mpp": null, "n": 2, "seed": 7, "style": {style}}}'
    )
    assert request_from_json(text) == request(style=read, n=2, mask_size=(64, 80))


def test_a_request_for_tiles_is_one_that_earlier_versions_read():
    values = json.loads(request().to_json())
    assert set(values) == {
        "label_components", "large", "mask_sha256", "mask_size", "mpp", "n", "seed", "style",
    }  # fmt: skip
    assert values["style"] == {"organ": "kidney"}


def test_a_request_for_a_style_survives_json():
    original = StyleRequest(image_sha256="ab", name="ward", mpp=0.5)
    assert json.loads(original.to_json())["kind"] == "style"
    assert request_from_json(original.to_json()) == original
    with pytest.raises(ParameterInvalid, match="mpp"):
        StyleRequest(image_sha256="ab", mpp=5.0)


def test_a_request_names_its_files():
    images = tuple(WeightedImage(digest, 1.0) for digest in ("a", "b", "c"))
    custom = {"ward": Reference("cd", 0.25)}
    assert request().inputs == ["mask"]
    assert request(style=Style(image_sha256="cd")).inputs == ["mask", "style"]
    assert request(style=Style(images=images)).inputs == ["mask", "style", "style-1", "style-2"]
    assert request(style=Style(name="ward", custom=custom)).inputs == ["mask", "styles"]
    assert StyleRequest(image_sha256="ab").inputs == ["style"]


def test_exactly_one_style():
    with pytest.raises(StyleMissing):
        Style()
    with pytest.raises(StyleConflict, match="organ, style"):
        Style(name="kidney", image_sha256="cd")


@pytest.mark.parametrize(
    "text", ['{"liver": 1, "liver": 2}', '{"liver": {"liver": 1, "liver": 2}}']
)
def test_refuses_an_organ_that_is_named_twice(text):
    with pytest.raises(StyleWeightsInvalid, match="'liver' more than once"):
        parse_weights(text)


def test_reads_weights():
    assert parse_weights('{"kidney": 1, "liver": 0.3}') == {"kidney": 1.0, "liver": 0.3}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kidney",
        "[1]",
        "1",
        '{"kidney": "1"}',
        '{"kidney": true}',
        '{"kidney": null}',
        '{"kidney": NaN}',
        '{"kidney": 1e999}',
        '{"kidney": ' + "9" * 400 + "}",
        '{"kidney": ' + "9" * 5000 + "}",
        "[" * 100_000,
    ],
)
def test_refuses_other_weights(text):
    with pytest.raises(StyleWeightsInvalid, match="Send a JSON object such as"):
        parse_weights(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "tile", "mask_sha256": "ab", "seed": 1, "magnification": 40}',
        '{"kind": "style", "image_sha256": "ab", "sharpness": 1}',
        '{"kind": "style"}',
        '{"kind": "dataset"}',
        '{"kind": "dataset", "dataset": []}',
        '{"kind": "hologram"}',
        '{"kind": ["tile"]}',
    ],
)
def test_a_request_of_another_version_can_be_read(text):
    """A job of a newer version, before a rollback, breaks nobody who reads it."""
    read = request_from_json(text)
    assert isinstance(read, UnknownRequest)
    assert read.to_json() == text
