import io
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from model.errors import MaskBinary
from tests.fakes import FakeSynthesizer, label_mask, mask_png, png, style_png
from worker import synthesis
from worker.request import SynthesisRequest, sha256
from worker.style import Style
from worker.work import Tile, work_on

MASK = mask_png()


@pytest.fixture
def synthesizer(checkpoint) -> FakeSynthesizer:
    return FakeSynthesizer(checkpoint)


def request(**changes) -> SynthesisRequest:
    fields = {"mask_sha256": sha256(MASK), "style": Style(name="kidney"), "seed": 7}
    return SynthesisRequest(**{**fields, **changes})


def image(tile: Tile) -> Image.Image:
    return Image.open(io.BytesIO(tile.data))


def test_one_tile_a_seed(synthesizer):
    wanted = request(n=3)
    tiles = list(synthesis.synthesize(synthesizer, wanted, MASK))
    assert [tile.seed for tile in tiles] == wanted.seeds()
    assert len({tile.sha256 for tile in tiles}) == 3
    assert all(tile.sha256 == sha256(tile.data) for tile in tiles)


def test_each_tile_can_be_made_by_itself(synthesizer):
    """As the engine does: in any order, the network apart from the rest."""
    whole = list(synthesis.synthesize(synthesizer, request(n=4), MASK))
    work = work_on(synthesizer, request(n=4), MASK)
    assert work.shape == synthesizer.padded_shape((64, 64))
    for index in (3, 1):
        (image,) = synthesizer.paint([work.pass_input(index, None)])
        assert work.take(index, image).data == whole[index].data


def test_the_layout_is_computed_once_for_all_tiles(synthesizer, monkeypatch):
    computed = []
    layout = synthesizer.layout
    monkeypatch.setattr(
        synthesizer, "layout", lambda labels: computed.append(labels) or layout(labels)
    )
    work = work_on(synthesizer, request(n=3), MASK)
    assert computed == []  # only once there is room for it
    for index in range(3):
        work.pass_input(index, None)
    assert len(computed) == 1


def test_tiles_are_made_when_they_are_asked_for(synthesizer):
    tiles = synthesis.synthesize(synthesizer, request(n=4), MASK)
    next(tiles)
    assert synthesizer.made == 1


def test_the_png_says_what_determines_its_pixels_and_nothing_else(synthesizer):
    (tile,) = synthesis.synthesize(synthesizer, request(), MASK)
    text = image(tile).text
    exemplar = json.loads(text.pop("style"))
    assert exemplar["organ"] == "kidney"
    chosen = synthesizer.styles.exemplars("kidney")[exemplar["exemplar"]]
    np.testing.assert_array_equal(chosen, synthesizer.styles.pick("kidney", 7))
    assert text == {
        "synthetic": "true",
        "checkpoint": "small",
        "checkpoint_sha256": synthesizer.card.sha256,
        "code_version": text["code_version"],
        "seed": "7",
        "mask_sha256": sha256(MASK),
        "label_components": "false",
        "mpp": "0.25",
        "licence": "CC0-1.0",
    }


def test_the_manifest_adds_the_time_and_the_tile(synthesizer):
    before = datetime.now(UTC).replace(microsecond=0)
    (tile,) = synthesis.synthesize(synthesizer, request(mpp=0.5), MASK)
    manifest = json.loads(tile.manifest)
    made_at = datetime.fromisoformat(manifest.pop("created_at"))
    assert before <= made_at <= datetime.now(UTC)
    assert manifest.pop("tile_sha256") == sha256(tile.data)
    assert manifest["synthetic"] is True
    assert manifest["mpp"] == 0.5
    assert set(manifest) == set(image(tile).text)


def test_a_style_image_is_encoded_once(synthesizer, monkeypatch):
    encoded = []
    monkeypatch.setattr(
        synthesizer, "encode", lambda image_u8: encoded.append(image_u8.shape) or np.zeros(3)
    )
    style = style_png(80)
    wanted = request(style=Style(image_sha256=sha256(style)), n=3)
    tiles = list(synthesis.synthesize(synthesizer, wanted, MASK, [style]))
    assert encoded == [(80, 80, 3)]
    assert json.loads(image(tiles[2]).text["style"]) == {"image_sha256": sha256(style)}


def test_a_mix_is_what_the_bank_makes_of_it(synthesizer, monkeypatch):
    used = []
    tile_of = synthesizer.tile
    monkeypatch.setattr(
        synthesizer,
        "tile",
        lambda layout, style, seed: used.append(style) or tile_of(layout, style, seed=seed),
    )
    weights = {"kidney": 3.0, "liver": 1.0}
    (tile,) = synthesis.synthesize(synthesizer, request(style=Style(weights=weights)), MASK)
    bank = synthesizer.styles
    expected = 0.75 * bank.vector("kidney") + 0.25 * bank.vector("liver")
    np.testing.assert_allclose(used[0], expected, rtol=1e-6)
    assert json.loads(image(tile).text["style"]) == {"weights": weights}


def test_a_tile_has_the_size_of_its_mask(synthesizer):
    (tile,) = synthesis.synthesize(synthesizer, request(mpp=0.5), MASK)
    assert image(tile).size == (64, 64)


def test_a_binary_mask_is_refused_before_any_work(synthesizer):
    binary = png(np.where(label_mask() > 0, 255, 0).astype(np.uint8))
    with pytest.raises(MaskBinary):
        next(synthesis.synthesize(synthesizer, request(), binary))
    assert synthesizer.made == 0


def test_loads_a_real_checkpoint_with_so_many_threads(checkpoint):
    import torch

    synthesizer = synthesis.load(checkpoint, device="cpu", threads=1)
    assert torch.get_num_threads() == 1
    first = [tile.data for tile in synthesis.synthesize(synthesizer, request(n=2), MASK)]
    again = [tile.data for tile in synthesis.synthesize(synthesizer, request(n=2), MASK)]
    assert first == again
    assert first[0] != first[1]
