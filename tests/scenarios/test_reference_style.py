"""A tile takes the stain of the reference image it is given."""

import io

import numpy as np
from PIL import Image
from skimage.color import rgb2lab


def colour(png: bytes):
    """Mean colour in Lab."""
    return rgb2lab(np.asarray(Image.open(io.BytesIO(png)))).mean(axis=(0, 1))


def test_the_stain_follows_the_reference(server, mask, small_mask):
    organs = [style["organ"] for style in server.client.get("/styles").json()["styles"]]
    references = [server.synthesize(mask, organ=organ, seed=2).content for organ in organs]
    lightness = [colour(reference)[0] for reference in references]
    pale, dark = references[np.argmax(lightness)], references[np.argmin(lightness)]
    for own, other in ((pale, dark), (dark, pale)):
        response = server.synthesize(mask, style=own, seed=9)
        assert response.status_code == 200, response.text
        tile = colour(response.content)
        to_own = np.linalg.norm(tile - colour(own))
        to_other = np.linalg.norm(tile - colour(other))
        assert to_own < to_other / 2
