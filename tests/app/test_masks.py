"""POST /masks and /masks/convert, and ``sian masks``."""

import io
import json

import numpy as np
import pytest

from model.formats import MEDIA_TYPES, SUFFIXES, read_mask, write_mask
from model.nuclei import random_mask
from model.nuclei_statistics import organ_statistics
from tests.fakes import label_mask, mask_png, png, style_png
from worker.random_masks import MaskRequest


def names(response) -> str:
    return response.headers["Content-Disposition"].partition("filename=")[2].strip('"')


def test_draws_a_mask(client):
    response = client.post("/masks", json={"organ": "kidney", "width": 80, "height": 64, "seed": 7})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Seed"] == "7"
    assert names(response) == "kidney-7.png"
    expected = random_mask(organ_statistics("kidney"), 64, 80, seed=7)
    np.testing.assert_array_equal(read_mask(response.content), expected)


def test_a_seed_is_drawn_and_said(client):
    first, second = (client.post("/masks", json={"width": 64, "height": 64}) for _ in range(2))
    assert first.content != second.content
    wish = {"width": 64, "height": 64, "seed": int(first.headers["X-Seed"])}
    assert client.post("/masks", json=wish).content == first.content


def test_statistics_replace_those_of_the_organ(client):
    wish = {"organ": "liver", "width": 256, "height": 256, "seed": 1}
    sparse = {**wish, "statistics": {"density": 4, "clumping": 0, "density_drift": 0}}
    usual, few = (read_mask(client.post("/masks", json=w).content) for w in (wish, sparse))
    assert few.max() < 15 < usual.max()


@pytest.mark.parametrize("format", list(MEDIA_TYPES))
def test_in_every_format(client, format):
    response = client.post("/masks", json={"width": 64, "height": 64, "seed": 3, "format": format})
    assert response.headers["Content-Type"] == MEDIA_TYPES[format]
    assert names(response) == f"pooled-3{SUFFIXES[format]}"
    expected = random_mask(organ_statistics("pooled"), 64, 64, seed=3)
    np.testing.assert_array_equal(read_mask(response.content, **sized(format)), expected)


def sized(format) -> dict:
    """Outlines do not say how large their image is."""
    return {"size": (64, 64)} if format in ("geojson", "xml") else {}


@pytest.mark.parametrize(
    ("wish", "detail"),
    [
        ({"organ": "spleen"}, "no nucleus statistics for 'spleen'"),
        ({"width": 63}, "width: Input should be greater than or equal to 64, was '63'."),
        ({"height": 1025}, "height: Input should be less than or equal to 1024, was '1025'."),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"format": "gif"}, "format must be one of png, tiff, npy"),
        ({"statistics": {"density": "many"}}, "statistics must be an object of numbers by name"),
        ({"statistics": {"densty": 3}}, "There is no statistic 'densty'; there are density"),
        ({"statistics": {"density": 1e9}}, "density is 1000000000.0; it must be a number from 0.5"),
        ({"orgn": "kidney"}, "there is no field 'orgn'"),
    ],
)
def test_wishes_that_cannot_be_met(client, wish, detail):
    response = client.post("/masks", json=wish)
    assert (response.status_code, response.json()["code"]) == (422, "parameter_invalid")
    assert detail in response.json()["detail"]


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        ({"content": b"{"}, 400, "The body is not JSON."),
        ({"content": b"[1]"}, 422, "body: "),
        ({"data": {"organ": "kidney"}}, 415, "application/x-www-form-urlencoded; send applic"),
    ],
)
def test_bodies_that_are_no_object(client, request_, status, detail):
    headers = {"Content-Type": "application/json"} if "content" in request_ else {}
    response = client.post("/masks", headers=headers, **request_)
    assert response.status_code == status
    assert detail in response.json()["detail"]


@pytest.mark.parametrize("format", list(MEDIA_TYPES))
def test_converts_there_and_back(client, format):
    there = client.post("/masks/convert", files={"mask": mask_png()}, data={"format": format})
    assert there.headers["Content-Type"] == MEDIA_TYPES[format]
    assert names(there) == f"mask{SUFFIXES[format]}"
    fields = {"format": "npy", "width": 64, "height": 64}
    if not sized(format):
        fields = {"format": "npy"}
    back = client.post("/masks/convert", files={"mask": there.content}, data=fields)
    np.testing.assert_array_equal(np.load(io.BytesIO(back.content)), label_mask())


def test_labels_components_on_request(client):
    binary = png(np.where(label_mask() > 0, 255, 0).astype(np.uint8))
    refused = client.post("/masks/convert", files={"mask": binary})
    assert refused.json()["code"] == "mask_binary"
    answer = client.post(
        "/masks/convert", files={"mask": binary}, data={"label_components": "true"}
    )
    assert np.unique(read_mask(answer.content)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("files", "fields", "code"),
    [
        ({"other": b"."}, {"format": "png"}, "mask_missing"),
        ({"mask": b""}, {}, "mask_empty_file"),
        ({"mask": style_png()}, {}, "mask_colour"),
        ({"mask": mask_png()}, {"format": "gif"}, "parameter_invalid"),
        ({"mask": mask_png()}, {"width": 64}, "parameter_invalid"),
        ({"mask": mask_png()}, {"label_componets": "true"}, "parameter_invalid"),
        ({"mask": mask_png()}, {"format": ["png", "tiff"]}, "parameter_invalid"),
        (
            {"mask": write_mask(label_mask().astype(np.int64) * 1000, "tiff")},
            {"format": "png"},
            "mask_unwritable",
        ),
    ],
)
def test_files_that_cannot_be_converted(client, files, fields, code):
    response = client.post("/masks/convert", files=files, data=fields)
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_a_rate_limit_counts_masks_too(start):
    client = start(rate_limit="2/hour")
    wish = {"width": 64, "height": 64}
    statuses = [client.post("/masks", json=wish).status_code for _ in range(2)]
    convert = client.post("/masks/convert", files={"mask": mask_png()})
    assert [*statuses, convert.status_code] == [200, 200, 429]


def test_the_command_line_gives_the_same(run, client, tmp_path):
    code, out, _ = run(
        "masks", "--organ", "breast", "--size", "80x64", "--seed", "5", "--out", "mask.tif"
    )
    assert code == 0
    mask = read_mask((tmp_path / "mask.tif").read_bytes())
    assert out == f"mask.tif ({mask.max()} nuclei, seed 5)\n"
    wish = {"organ": "breast", "width": 80, "height": 64, "seed": 5, "format": "tiff"}
    assert client.post("/masks", json=wish).content == (tmp_path / "mask.tif").read_bytes()


def test_the_command_line_numbers_several(run, tmp_path):
    statistics = json.dumps({"density": 10})
    code, out, _ = run(
        "masks", "--size", "64", "--count", "2", "--out", "m.npy", "--statistics", statistics
    )
    assert code == 0
    seeds = [int(line.rpartition(" ")[2].rstrip(")")) for line in out.splitlines()]
    assert len(set(seeds)) == 2
    for index, seed in enumerate(seeds):
        wish = MaskRequest(height=64, width=64, seed=seed, statistics={"density": 10})
        np.testing.assert_array_equal(np.load(tmp_path / f"m-{index}.npy"), wish.draw(max_side=64))


def test_the_number_stands_before_the_suffix_of_the_format(run, tmp_path):
    code, _, _ = run("masks", "--size", "64", "--count", "2", "--out", "m.pannuke.npy")
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"m-0.pannuke.npy", "m-1.pannuke.npy"}
    assert np.load(tmp_path / "m-0.pannuke.npy").shape == (1, 64, 64, 6)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        (["--out", "mask.gif"], 64, "mask.gif"),
        (["--out", "mask.png", "--size", "big"], 64, "--size big"),
        (["--out", "mask.png", "--size", "9000"], 65, "limit is 8192 px"),
        (["--out", "mask.png", "--statistics", "[]"], 64, "no JSON object"),
        (["--out", "/proc/mask.png", "--size", "64"], 73, "cannot be written"),
    ],
)
def test_the_command_line_says_what_is_wrong(run, arguments, exit_code, text):
    code, out, err = run("masks", *arguments)
    assert (code, out) == (exit_code, "")
    assert text in err
