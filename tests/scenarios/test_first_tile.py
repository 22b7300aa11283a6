"""A mask and an organ in, a tile out whose nuclei lie where the mask has them."""

import io
import json

import numpy as np
from PIL import Image
from skimage.color import rgb2hed

from model.checkpoint import read_card
from tests.processes import RELEASE


def auc(positive, negative) -> float:
    """Probability that a positive value exceeds a negative one."""
    ranks = np.concatenate([positive, negative]).argsort().argsort() + 1
    count = len(positive)
    above = ranks[:count].sum() - count * (count + 1) / 2
    return above / (count * len(negative))


def test_a_tile_for_every_organ(server, mask, nuclei):
    organs = [style["organ"] for style in server.client.get("/styles").json()["styles"]]
    assert len(organs) == 7
    tiles = {}
    for organ in organs:
        response = server.synthesize(mask, organ=organ, seed=1)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "image/png"
        tiles[organ] = np.asarray(Image.open(io.BytesIO(response.content)))
        assert tiles[organ].shape == (256, 256, 3)
        haematoxylin = rgb2hed(tiles[organ])[..., 0]
        separation = auc(haematoxylin[nuclei > 0], haematoxylin[nuclei == 0])
        assert separation > 0.9, organ
    assert len({tile.tobytes() for tile in tiles.values()}) == 7


def test_the_tile_says_what_it_is(server, mask):
    response = server.synthesize(mask, organ="kidney", seed=1)
    text = Image.open(io.BytesIO(response.content)).text
    card = read_card(RELEASE)
    assert text["synthetic"] == "true"
    assert text["checkpoint_sha256"] == card.sha256
    assert text["licence"] == card.licence
    assert text["seed"] == "1"
    assert json.loads(text["style"])["organ"] == "kidney"


def test_any_size(server, nuclei):
    for height, width in ((16, 16), (75, 100), (257, 40)):
        buffer = io.BytesIO()
        np.save(buffer, np.tile(nuclei, (2, 2))[:height, :width])
        response = server.synthesize(buffer.getvalue(), organ="breast", seed=1)
        assert response.status_code == 200, response.text
        assert Image.open(io.BytesIO(response.content)).size == (width, height)
