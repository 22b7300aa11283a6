"""Requests for tiles that cannot be fulfilled: every case has its own code."""

import io

import numpy as np
import pytest

from tests.app.checks import check_problem
from tests.fakes import label_mask, mask_png, png, style_png


def rgb(side=64):
    return png(np.zeros((side, side, 3), np.uint8))


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mask", "status", "code"),
    [
        (b"", 422, "mask_empty_file"),
        (b"not an image", 422, "mask_unreadable"),
        (mask_png()[:100], 422, "mask_unreadable"),
        (png(np.where(label_mask() > 0, 255, 0).astype(np.uint8)), 422, "mask_binary"),
        (rgb(), 422, "mask_colour"),
        (npy(label_mask().astype(np.float32)), 422, "mask_float"),
        (npy(-label_mask()), 422, "mask_negative"),
        (npy(label_mask().astype(np.int64) * 2**30), 422, "mask_id_too_large"),
        (npy(label_mask()[None]), 422, "mask_shape"),
        (png(np.zeros((8200, 16), np.uint16)), 413, "mask_too_large"),
        (npy(np.zeros((8, 64), np.int32)), 422, "mask_too_small"),
    ],
)
def test_bad_masks(post, mask, status, code):
    check_problem(post(files={"mask": mask}, organ="kidney"), status, code)


@pytest.mark.parametrize(
    ("style", "status", "code"),
    [
        (style_png(4), 422, "style_too_small"),
        (b"", 422, "style_unreadable"),
        (style_png()[:400], 422, "style_unreadable"),
        (png(np.zeros((80, 80), np.uint8)), 422, "style_unreadable"),
    ],
)
def test_bad_style_images(post, mask_file, style, status, code):
    check_problem(post(files={**mask_file, "style": style}), status, code)


def test_a_style_image_beyond_the_servers_limit(start, mask_file):
    client = start(max_style_mpx=0.005)
    response = client.post("/synthesize", files={**mask_file, "style": style_png(80)})
    check_problem(response, 413, "style_too_large")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "style_missing"),
        ({"organ": ""}, "style_missing"),
        ({"organ": "kidney", "styles": '{"liver": 1}'}, "style_conflict"),
        ({"organ": "spleen"}, "style_unknown"),
        ({"organ": "../kidney"}, "style_unknown"),
        ({"styles": '{"spleen": 1}'}, "style_unknown"),
        ({"styles": '{"\\ud800": 1}'}, "style_unknown"),
        ({"styles": '{"\\ud800": -1}'}, "style_weights_invalid"),
        ({"styles": "kidney"}, "style_weights_invalid"),
        ({"styles": "{}"}, "style_weights_invalid"),
        ({"styles": '{"kidney": -1}'}, "style_weights_invalid"),
        ({"styles": '{"kidney": 0}'}, "style_weights_invalid"),
    ],
)
def test_bad_styles(post, fields, code):
    check_problem(post(**fields), 422, code)


def test_two_styles_at_once(post, mask_file):
    check_problem(post(files={**mask_file, "style": style_png()}, organ="k"), 422, "style_conflict")
    twice = [("mask", mask_png()), ("style", style_png()), ("style", style_png())]
    check_problem(post(files=twice), 422, "style_conflict")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "abc"),
        ("seed", "-1"),
        ("seed", "1.5"),
        ("seed", str(2**63)),
        ("seed", "9" * 5000),
        ("n", "0"),
        ("n", "17"),
        ("n", "many"),
        ("mpp", "0"),
        ("mpp", "nan"),
        ("mpp", "40x"),
        ("label_components", "perhaps"),
    ],
)
def test_bad_parameters_are_named(post, name, value):
    problem = check_problem(post(organ="kidney", **{name: value}), 422, "parameter_invalid")
    assert problem["detail"].startswith(f"{name} must be ")
    assert len(problem["detail"]) < 300


def test_a_field_that_does_not_exist(post):
    problem = check_problem(post(organ="kidney", sed="7"), 422, "parameter_invalid")
    assert "'sed'" in problem["detail"]
    assert "seed" in problem["detail"]


def test_a_field_sent_twice(post, client, mask_file):
    problem = check_problem(post(organ=["kidney", "liver"]), 422, "parameter_invalid")
    assert "'organ'" in problem["detail"]


def test_no_mask(post):
    check_problem(post(files={"style": style_png()}), 422, "mask_missing")


def test_a_mask_sent_as_text(post):
    problem = check_problem(
        post(files={"style": style_png()}, mask="mask.png"), 422, "mask_missing"
    )
    assert "as text" in problem["detail"]


def test_a_style_sent_as_text(post):
    problem = check_problem(post(style="kidney"), 422, "parameter_invalid")
    assert "organ" in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"organ": "kidney"}},
        {"data": {"organ": "kidney"}},
        {"content": mask_png(), "headers": {"Content-Type": "image/png"}},
        {},
    ],
)
def test_a_body_that_is_no_form(client, body):
    problem = check_problem(client.post("/synthesize", **body), 415, "media_type_unsupported")
    assert "multipart/form-data" in problem["detail"]


@pytest.mark.parametrize("boundary", ["", "; boundary=xx"])
def test_a_damaged_form(client, boundary):
    response = client.post(
        "/synthesize",
        content=b"garbage",
        headers={"Content-Type": f"multipart/form-data{boundary}"},
    )
    check_problem(response, 400, "request_malformed")
