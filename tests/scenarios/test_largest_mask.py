"""The largest mask that one pass of the network takes fits the memory that is promised."""

import io

import numpy as np
from PIL import Image

from tests.fakes import png
from tests.scenarios.masks import tiled

SIDE = 1024
LONG_S = 900
"""Of a slow machine that is busy with something else."""


def test_the_largest_mask(serve, nuclei):
    mask = tiled(nuclei, SIDE // len(nuclei)).astype(np.uint16)
    server = serve(response_wait_s=LONG_S)
    server.wait_until_ready()
    server.client.timeout = LONG_S
    response = server.synthesize(png(mask), organ="kidney", seed=1)
    assert response.status_code == 200, response.text
    assert Image.open(io.BytesIO(response.content)).size == (SIDE, SIDE)
    assert server.memory_mb("VmHWM") < 2560
