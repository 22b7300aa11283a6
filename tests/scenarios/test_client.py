"""The Python client, with and without asyncio, against the real service."""

import asyncio
import inspect
import socket
import zipfile
from pathlib import Path

import httpx2
import numpy as np
import pytest

from app.client import AsyncClient, Client
from model.errors import (
    DatasetUnfinished,
    JobCanceled,
    JobExpired,
    JobUnknown,
    KeyInvalid,
    MaskBinary,
    StoreUnavailable,
    StyleNameTaken,
    StyleUnknown,
)
from model.formats import read_mask
from tests.fakes import label_mask, mask_png, png, style_png

MASK = mask_png()


class Awaiting:
    """An AsyncClient that is used like a Client: an event loop, and all of it in there."""

    def __init__(self, address: str, **options) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(address, **options)

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def __getattr__(self, name):
        method = getattr(self._client, name)
        assert inspect.iscoroutinefunction(method)
        return lambda *args, **options: self._runner.run(method(*args, **options))


@pytest.fixture(params=[Client, Awaiting])
def connect(request):
    return request.param


@pytest.fixture
def sian(connect, server):
    with connect(server.address) as client:
        yield client


def test_tiles_are_those_of_the_service(sian, server):
    seen = []
    first, second = sian.synthesize(MASK, organ="kidney", seed=7, n=2, on_progress=seen.append)
    assert seen[-1].status == "succeeded"
    assert first.data == server.synthesize(MASK, organ="kidney", seed=7).content
    assert (first.media_type, first.seed) == ("image/png", 7)
    assert first.manifest["tile_sha256"] == first.sha256
    assert second.data != first.data


def test_masks_and_styles_of_every_kind(sian, tmp_path):
    path = Path(tmp_path / "mask.png")
    path.write_bytes(MASK)
    of_file, of_array = (
        sian.synthesize(mask, styles={"kidney": 1, "liver": 1}, seed=1)[0]
        for mask in (path, label_mask())
    )
    assert of_file.manifest["style"] == {"weights": {"kidney": 1, "liver": 1}}
    pixels = [tile.data[-2000:] for tile in (of_file, of_array)]  # behind the text chunks
    assert pixels[0] == pixels[1]


def test_a_job_by_hand(sian):
    job = sian.submit(MASK, organ="colon", seed=2)
    job = sian.wait(sian.job(job.id))
    (tile,) = sian.tiles(job)
    assert tile.seed == 2
    sian.cancel(job.id)  # too late
    assert sian.tiles(sian.job(job.id)) == [tile]
    sian.delete_job(job.id)
    with pytest.raises(JobExpired):
        sian.job(job.id)


def test_masks_are_drawn_and_converted(sian):
    drawn = sian.draw_mask(organ="liver", width=64, height=80, seed=3)
    assert drawn.seed == 3
    mask = read_mask(drawn.data)
    assert mask.shape == (80, 64)
    outlines = sian.convert_mask(drawn.data, "geojson")
    back = sian.convert_mask(outlines.data, "npy", width=64, height=80)
    np.testing.assert_array_equal(read_mask(back.data), mask)


def test_what_the_service_serves(sian):
    organs = [style.organ for style in sian.styles().styles]
    assert "kidney" in organs
    assert sian.style("kidney").style_dim == sian.model().style_dim


def test_custom_styles(sian, tmp_path):
    image = style_png()
    (tmp_path / "reference.png").write_bytes(image)
    kept = sian.keep_style(tmp_path / "reference.png", "ward-3")
    assert (kept.name, kept.kind) == ("ward-3", "custom")
    assert sian.style("ward-3") == sian.keep_style(image, "ward-3") == kept
    assert "ward-3" in [style.name for style in sian.styles().styles]
    (named,) = sian.synthesize(MASK, organ="ward-3", seed=1)
    (sent,) = sian.synthesize(MASK, style=image, seed=1)
    assert named.data == sent.data
    with pytest.raises(StyleNameTaken):
        sian.keep_style(style_png(seed=1), "ward-3")
    sian.delete_style("ward-3")
    with pytest.raises(StyleUnknown):
        sian.synthesize(MASK, organ="ward-3")


def test_a_mix_of_images(sian, tmp_path):
    (tmp_path / "second.png").write_bytes(style_png(seed=2))
    images = [style_png(seed=1), tmp_path / "second.png"]
    (tile,) = sian.synthesize(MASK, style=images, weights=(0.25, 0.75), seed=1)
    assert [image["weight"] for image in tile.manifest["style"]["images"]] == [0.25, 0.75]


def test_a_dataset(sian, tmp_path):
    seen = []
    made = sian.make_dataset(3, organs={"kidney": 2, "liver": 1}, width=64, height=64, seed=7,
                             formats=("coco", "geojson"))  # fmt: skip
    made = sian.wait_dataset(sian.dataset(made.id), on_progress=seen.append)
    assert seen[-1] == made
    assert made.progress.done == 3
    path = tmp_path / "dataset.zip"
    sian.download_dataset(made, path)
    assert list(tmp_path.iterdir()) == [path]
    with zipfile.ZipFile(path) as bundle:
        assert bundle.testzip() is None
        assert {"coco.json", "geojson/000002.geojson", "images/000002.png"} <= set(
            bundle.namelist()
        )
    sian.delete_dataset(made.id)
    with pytest.raises(JobExpired):
        sian.download_dataset(made, tmp_path / "again.zip")
    assert list(tmp_path.iterdir()) == [path]


def test_a_dataset_that_is_not_there_or_not_finished(sian, tmp_path):
    made = sian.make_dataset(2000, organs=["kidney"], width=64, height=64)
    unknown = made.model_copy(update={"id": "0" * 32})
    for dataset, error in ((made, DatasetUnfinished), (unknown, JobUnknown)):
        with pytest.raises(error):
            sian.download_dataset(dataset, tmp_path / "dataset.zip")
    assert list(tmp_path.iterdir()) == []
    sian.cancel_dataset(made.id)
    with pytest.raises(JobCanceled, match=made.id):
        sian.wait_dataset(made)


def test_errors_have_their_class(sian):
    with pytest.raises(MaskBinary, match="label_components"):
        sian.synthesize(png((label_mask() > 0).astype(np.uint8)), organ="kidney")
    with pytest.raises(StyleUnknown):
        sian.synthesize(MASK, organ="spleen")


def test_a_service_that_is_not_there(connect):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        port = unheard.getsockname()[1]
        with (
            connect(f"http://127.0.0.1:{port}", patience_s=0.3) as client,
            pytest.raises(StoreUnavailable, match="cannot be reached"),
        ):
            client.model()


def test_api_keys(connect, serve):
    key = "0123456789abcdef"
    server = serve(api_keys=f"ward:{key}")
    with connect(server.address, api_key=key) as client:
        assert client.model().name
    with connect(server.address) as client, pytest.raises(KeyInvalid):
        client.model()


def test_a_connection_of_ones_own_is_left_open(server):
    with httpx2.Client(base_url=server.address) as http:
        with Client(http=http) as client:
            client.model()
        assert not http.is_closed
