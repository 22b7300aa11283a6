"""The largest mask that one pass of the network takes fits the memory that is promised."""

import io

import numpy as np
from PIL import Image

from tests.fakes import png

SIDE = 1024
LONG_S = 900
"""Of a slow machine that is busy with something else."""


def test_the_largest_mask(serve, nuclei):
    count = SIDE // len(nuclei)
    tiled = np.tile(nuclei, (count, count))
    block = np.arange(count**2).reshape(count, count)
    block = block.repeat(len(nuclei), axis=0).repeat(len(nuclei), axis=1)
    mask = np.where(tiled > 0, tiled + (nuclei.max() + 1) * block, 0).astype(np.uint16)

    server = serve(response_wait_s=LONG_S)
    server.wait_until_ready()
    server.client.timeout = LONG_S
    response = server.synthesize(png(mask), organ="kidney", seed=1)
    assert response.status_code == 200, response.text
    assert Image.open(io.BytesIO(response.content)).size == (SIDE, SIDE)
    assert server.memory_mb("VmHWM") < 2560
