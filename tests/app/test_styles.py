import io

import numpy as np
import pytest
from PIL import Image

from model.styles import StyleBank
from tests.fakes import ORGANS
from worker.thumbnails import thumbnail_scope


def test_lists_the_presets(client, checkpoint):
    bank = StyleBank.load(checkpoint)
    document = client.get("/styles").json()
    assert [style["organ"] for style in document["styles"]] == list(ORGANS)
    for style in document["styles"]:
        vectors = bank.exemplars(style["organ"])
        assert document["style_dim"] == vectors.shape[1]
        assert style["exemplars"] == len(vectors)
        distances = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        assert style["spread"] == pytest.approx(np.sqrt((distances**2).mean()), rel=1e-5)
        assert client.get(style["links"]["self"]).status_code == 200


def test_shows_one_preset(client, checkpoint):
    vectors = StyleBank.load(checkpoint).exemplars("kidney")
    document = client.get("/styles/kidney").json()
    assert document["organ"] == "kidney"
    returned = np.array([exemplar["vector"] for exemplar in document["exemplars"]], np.float32)
    np.testing.assert_array_equal(returned, vectors)
    assert [exemplar["source"] for exemplar in document["exemplars"]] == [
        {"slide": f"kidney-{k}"} for k in range(len(vectors))
    ]
    np.testing.assert_allclose(document["statistics"]["mean"], vectors.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(document["statistics"]["std"], vectors.std(axis=0), rtol=1e-5)


def test_has_a_thumbnail(client, mask_file):
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})  # warm from here on
    response = client.get(client.get("/styles/kidney").json()["links"]["thumbnail"])
    assert response.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (128, 128)


def test_a_thumbnail_that_could_not_be_stored_is_not_promised(client, mask_file):
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})  # warm from here on
    service = client.app.state.service
    service.artifacts.remove(thumbnail_scope(service.card.sha256))
    response = client.get("/styles/kidney/thumbnail")
    assert response.status_code == 404
    assert "at the next start" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/styles/spleen", "/styles/spleen/thumbnail"])
def test_an_unknown_organ_is_a_wrong_address(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_says_which_organs_there_are(client):
    assert "colon, kidney, liver" in client.get("/styles/spleen").json()["detail"]
