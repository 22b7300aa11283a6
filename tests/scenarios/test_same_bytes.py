"""The same request gives the same bytes: alone, amid others, after a restart, without a server."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.processes import RELEASE, ROOT


def test_alone_and_amid_others(server, mask, small_mask):
    alone = server.synthesize(mask, organ="kidney", seed=11).content
    requests = [
        (mask, {"organ": "kidney", "seed": 11}),
        (small_mask, {"organ": "kidney", "seed": 11}),
        (mask, {"organ": "liver", "seed": 11}),
        (mask, {"organ": "kidney", "seed": 12}),
        (mask, {"styles": '{"kidney": 1, "colon": 1}', "seed": 11}),
        (mask, {"organ": "kidney", "seed": 11}),
        (small_mask, {"style": alone, "seed": 11}),
    ]
    with ThreadPoolExecutor(len(requests)) as clients:
        tiles = list(clients.map(lambda r: server.synthesize(r[0], **r[1]).content, requests))
    assert tiles[0] == tiles[5] == alone
    assert len(set(tiles)) == 6


def test_as_one_of_several(server, small_mask):
    job = server.synthesize(small_mask, organ="colon", seed=3, n=3).json()
    for output in job["outputs"]:
        alone = server.synthesize(small_mask, organ="colon", seed=output["seed"]).content
        assert server.client.get(output["href"]).content == alone


def test_after_a_restart(serve, small_mask):
    tiles = []
    for _ in range(2):
        server = serve()
        tiles.append(server.synthesize(small_mask, organ="breast", seed=5).content)
        server.stop()
    assert tiles[0] == tiles[1]


def test_without_a_server(server, mask, tmp_path):
    (tmp_path / "mask.png").write_bytes(mask)
    command = [sys.executable, "-m", "app.cli", "synthesize", "--mask", tmp_path / "mask.png",
               "--organ", "stomach", "--seed", "5", "--out", tmp_path / "tile.png"]  # fmt: skip
    environment = {**os.environ, "SIAN_CHECKPOINT": str(RELEASE), "SIAN_THREADS": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    served = server.synthesize(mask, organ="stomach", seed=5).content
    assert (tmp_path / "tile.png").read_bytes() == served
