"""The public door, on a small random network."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.checkpoint import save_checkpoint
from model.device import Precision
from model.encoder import build_encoder
from model.errors import (
    MaskFloat,
    MaskTooLarge,
    MaskTooSmall,
    ParameterInvalid,
    SettingsInvalid,
    StyleTooSmall,
    StyleUnreadable,
)
from model.generator import Generator
from model.nuclei import random_mask
from model.nuclei_statistics import organ_statistics
from model.synthesizer import Synthesizer, style_windows
from model.tile import TileInput
from tests.networks import TINY
from tests.processes import RELEASE
from tests.threads import threads


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    statistics = [0.3, -0.1, 0.2, 0.3, 0.3, 0.2, 0.05, 0.02, 0.05]
    vectors = np.stack([[*rng.normal(size=6), *statistics] for _ in range(3)]).astype(np.float32)
    card = {
        "name": "random", "licence": "none", "mpp": 0.25, "training": {}, "code_version": "0",
        "styles": {"kidney": [{}] * 3},
    }  # fmt: skip
    save_checkpoint(path, Generator(TINY), build_encoder(TINY), {"kidney": vectors}, card)
    return path


@pytest.fixture(scope="module")
def synthesizer(checkpoint: Path) -> Synthesizer:
    return Synthesizer.load(checkpoint)


def mask(height: int = 70, width: int = 50) -> NDArray[np.int32]:
    labels = np.zeros((height, width), np.int32)
    labels[10:22, 10:25] = 3
    labels[22:35, 12:30] = 70_000
    return labels


def style(synthesizer: Synthesizer) -> NDArray[np.float32]:
    return synthesizer.styles.vector("kidney")


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (64, 64), (100, 257)])
def test_the_tile_has_the_size_of_the_mask(
    synthesizer: Synthesizer, height: int, width: int
) -> None:
    labels = np.zeros((height, width), np.uint8)
    tile = synthesizer.synthesize(labels, style(synthesizer), seed=0)
    assert tile.shape == (height, width, 3)
    assert tile.dtype == np.uint8


def test_same_inputs_same_bytes_whatever_ran_between(synthesizer: Synthesizer) -> None:
    first = synthesizer.synthesize(mask(), style(synthesizer), seed=5)
    synthesizer.synthesize(mask(33, 40), style(synthesizer), seed=6)
    torch.manual_seed(123)
    again = synthesizer.synthesize(mask(), style(synthesizer), seed=5)
    np.testing.assert_array_equal(first, again)
    other = synthesizer.synthesize(mask(), style(synthesizer), seed=6)
    assert not np.array_equal(first, other)


def tiles(synthesizer: Synthesizer, count: int) -> list[TileInput]:
    """Of one shape, from masks of several sizes."""
    return [
        synthesizer.prepare(mask(70 - seed, 50 + seed), style(synthesizer), seed=seed)
        for seed in range(count)
    ]


@pytest.fixture(params=["CPU", "GPU"])
def either(request: pytest.FixtureRequest, synthesizer: Synthesizer) -> Synthesizer:
    """Painting as the CPU does, side by side, and as a GPU does, in batches of one size."""
    return Synthesizer(
        synthesizer.generator,
        synthesizer.encoder,
        synthesizer.card,
        synthesizer.styles,
        max_batch=4,
        pad_batches=request.param == "GPU",
    )


@pytest.mark.parametrize("company", [1, 2, 3, 4, 6])
def test_same_bytes_alone_and_in_company(either: Synthesizer, company: int) -> None:
    """Wherever in the batch, whatever the others."""
    prepared = tiles(either, company)
    alone = [either.paint([tile])[0] for tile in prepared]
    assert [image.shape for image in alone] == [(*tile.layout.size, 3) for tile in prepared]
    for turn in range(company):
        together = either.paint(prepared[turn:] + prepared[:turn])
        for expected, image in zip(alone[turn:] + alone[:turn], together, strict=True):
            np.testing.assert_array_equal(expected, image)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("side", [64, 100, 256])
def test_same_bytes_in_company_on_a_real_gpu(precision: Precision, side: int) -> None:
    synthesizer = Synthesizer.load(RELEASE, device="cuda", precision=precision)
    organs = synthesizer.styles.organs
    prepared = [
        synthesizer.prepare(mask(side, side), synthesizer.styles.vector(organs[k % 7]), seed=k)
        for k in range(8)
    ]
    alone = [synthesizer.paint([tile])[0] for tile in prepared]
    for turn in range(8):
        together = synthesizer.paint(prepared[turn:] + prepared[:turn])
        for expected, image in zip(alone[turn:] + alone[:turn], together, strict=True):
            np.testing.assert_array_equal(expected, image)


def test_a_gpus_batches_have_one_size(either: Synthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    forward = either.generator.forward

    def counted(layout: Tensor, style: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        assert {len(tensor) for tensor in (style, *noise)} == {len(layout)}
        sizes.append(len(layout))
        return forward(layout, style, noise)

    monkeypatch.setattr(either.generator, "forward", counted)
    either.paint(tiles(either, 6))
    assert sizes == ([4, 4] if either.pad_batches else [1] * 6)
    sizes.clear()
    either.paint(tiles(either, 3), at_once=2)
    assert sizes == ([2, 2] if either.pad_batches else [1] * 3)


def test_tiles_are_taken_as_they_are_painted(either: Synthesizer) -> None:
    taken: list[int] = []

    def prepared() -> Iterator[TileInput]:
        for number, tile in enumerate(tiles(either, 6)):
            taken.append(number)
            yield tile

    together = either.at_once(tiles(either, 1)[0].shape)
    painted = either.paint_each(prepared())
    assert taken == []
    images = [next(painted)]
    assert len(taken) == together < 6
    images += painted
    for image, expected in zip(images, either.paint(tiles(either, 6)), strict=True):
        np.testing.assert_array_equal(image, expected)


def test_a_batch_of_another_size_is_the_same_picture(either: Synthesizer) -> None:
    prepared = tiles(either, 3)
    usual, fewer = either.paint(prepared), either.paint(prepared, at_once=1)
    for one, other in zip(usual, fewer, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= int(either.pad_batches)


@pytest.mark.parametrize("cores", [2, 3, 8])
def test_same_bytes_on_any_number_of_cores(synthesizer: Synthesizer, cores: int) -> None:
    prepared = tiles(synthesizer, 6)
    with threads(1):
        alone = synthesizer.paint(prepared)
    with threads(cores):
        side_by_side = synthesizer.paint(prepared)
        assert torch.get_num_threads() == cores
    for expected, image in zip(alone, side_by_side, strict=True):
        np.testing.assert_array_equal(expected, image)


@pytest.mark.parametrize("size", [(16, 16), (100, 257), (256, 256), (1024, 96)])
def test_same_bytes_of_the_release_network(size: tuple[int, int]) -> None:
    """On all cores, on one, beside others. Its layers are wide: torch has more ways for them."""
    release = Synthesizer.load(RELEASE)
    vector = release.styles.vector("kidney")
    nuclei = random_mask(organ_statistics("kidney"), *(max(64, side) for side in size), seed=1)
    labels = nuclei[: size[0], : size[1]]
    prepared = [release.prepare(labels, vector, seed=seed) for seed in (1, 2)]
    with threads(1):
        one_core = release.paint(prepared)
    for cores in (2, 3, 4):
        with threads(cores):
            alone = [release.paint([tile])[0] for tile in prepared]
            beside = release.paint(prepared)
        np.testing.assert_array_equal(alone, one_core)
        np.testing.assert_array_equal(beside, one_core)


def test_nothing_to_paint(either: Synthesizer) -> None:
    assert either.paint([]) == []


def test_tiles_of_different_shapes_are_no_batch(either: Synthesizer) -> None:
    vector = style(either)
    small, large = (either.prepare(mask(side, side), vector, seed=0) for side in (40, 100))
    with pytest.raises(ValueError, match="shape"):
        either.paint([small, large])


def test_tiles_of_one_mask_share_their_layout(synthesizer: Synthesizer) -> None:
    layout = synthesizer.layout(mask())
    shared = [synthesizer.tile(layout, style(synthesizer), seed=seed) for seed in (5, 6)]
    assert shared[0].layout is shared[1].layout
    assert shared[0].shape == synthesizer.padded_shape((70, 50))
    for seed, tile in zip((5, 6), synthesizer.paint(shared), strict=True):
        expected = synthesizer.synthesize(mask(), style(synthesizer), seed=seed)
        np.testing.assert_array_equal(tile, expected)


def test_batches_of_large_tiles_are_smaller(synthesizer: Synthesizer) -> None:
    assert synthesizer.max_batch == 8
    for side, expected in [(16, 8), (256, 8), (512, 8), (768, 3), (1024, 2)]:
        shape = synthesizer.padded_shape((side, side))
        assert synthesizer.batch_size(shape) == expected


@pytest.mark.parametrize(
    ("side", "on_sixteen_cores"), [(16, 8), (256, 8), (512, 3), (768, 1), (1024, 1)]
)
def test_the_cpu_takes_as_many_as_it_has_cores_and_memory_for(
    synthesizer: Synthesizer, side: int, on_sixteen_cores: int
) -> None:
    shape = synthesizer.padded_shape((side, side))
    with threads(16):
        assert synthesizer.at_once(shape) == on_sixteen_cores
    with threads(2):
        assert synthesizer.at_once(shape) == min(2, on_sixteen_cores)
    with threads(1):
        assert synthesizer.at_once(shape) == 1


def test_there_is_a_batch_of_one_at_least(either: Synthesizer) -> None:
    either.max_batch = 1
    shape = either.padded_shape((1024, 1024))
    assert either.batch_size(shape) == either.at_once(shape) == 1


def test_preparing_in_many_threads_gives_the_same(synthesizer: Synthesizer) -> None:
    with ThreadPoolExecutor(8) as threads:
        prepared = list(
            threads.map(
                lambda seed: synthesizer.prepare(mask(), style(synthesizer), seed=seed),
                [n % 4 for n in range(16)],
            )
        )
    for n, tile in enumerate(prepared):
        expected = synthesizer.prepare(mask(), style(synthesizer), seed=n % 4)
        np.testing.assert_array_equal(tile.layout.maps, expected.layout.maps)
        for plane, same in zip(tile.noise, expected.noise, strict=True):
            np.testing.assert_array_equal(plane, same)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_keeps_the_picture_and_its_colours(
    synthesizer: Synthesizer, precision: Precision
) -> None:
    """As on a GPU: the network in half precision, the colours in full."""
    half = Synthesizer(
        synthesizer.generator, synthesizer.encoder, synthesizer.card, synthesizer.styles,
        precision=precision, pad_batches=True, max_batch=2,
    )  # fmt: skip
    full = synthesizer.synthesize(mask(), style(synthesizer), seed=1).astype(int)
    rounded = half.synthesize(mask(), style(synthesizer), seed=1).astype(int)
    assert 0 < np.abs(rounded - full).max() <= 8
    assert np.abs((rounded - full).mean((0, 1))).max() < 0.2


def test_the_cpu_computes_in_full_precision(checkpoint: Path) -> None:
    assert Synthesizer.load(checkpoint, precision="fp16").precision == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(checkpoint: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no device cuda:1"):
        Synthesizer.load(checkpoint, device="cuda:1")


def test_a_style_in_double_precision_is_the_same_style(synthesizer: Synthesizer) -> None:
    vector = style(synthesizer)
    tile = synthesizer.synthesize(mask(), vector.astype(np.float64), seed=5)  # type: ignore[arg-type]
    np.testing.assert_array_equal(tile, synthesizer.synthesize(mask(), vector, seed=5))


def test_ids_do_not_matter_but_instances_do(synthesizer: Synthesizer) -> None:
    labels = mask()
    renamed = np.where(labels > 0, 80_000 - labels, 0)
    merged = np.where(labels > 0, 1, 0)
    tile = synthesizer.synthesize(labels, style(synthesizer), seed=1)
    np.testing.assert_array_equal(tile, synthesizer.synthesize(renamed, style(synthesizer), seed=1))
    assert not np.array_equal(tile, synthesizer.synthesize(merged, style(synthesizer), seed=1))


def test_the_mean_colour_of_the_style_moves_the_tile(synthesizer: Synthesizer) -> None:
    vector = style(synthesizer)
    redder = vector.copy()
    redder[6] += 0.4  # the mean of red, in [-1, 1]
    plain = synthesizer.synthesize(mask(), vector, seed=1).astype(int)
    moved = synthesizer.synthesize(mask(), redder, seed=1).astype(int)
    shift = (moved - plain).mean((0, 1))
    assert shift[0] > 25
    assert abs(shift[1:]).max() < 15


def test_encoding_a_uniform_image_gives_its_colour(synthesizer: Synthesizer) -> None:
    image = np.full((100, 64, 3), (255, 128, 0), np.uint8)
    vector = synthesizer.encode_style(image)
    assert vector.shape == (15,)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector[6:9], [1, 0, -1], atol=0.01)


def test_read_only_pictures_are_fine(synthesizer: Synthesizer) -> None:
    """As NumPy sees an image opened by Pillow."""
    image = np.full((64, 64, 3), 120, np.uint8)
    expected = synthesizer.encode_style(image)
    image.flags.writeable = False
    np.testing.assert_array_equal(synthesizer.encode_style(image), expected)


def test_large_style_images_are_read_in_windows() -> None:
    assert style_windows(64, 256) == [(slice(0, 64), slice(0, 256))]
    assert len(style_windows(257, 512)) == 4
    assert style_windows(257, 300)[-1] == (slice(128, 256), slice(150, 300))
    many = style_windows(10_000, 10_000)
    assert len(many) == 16
    assert len({(window[0].start, window[1].start) for window in many}) == 16


def test_bad_inputs_are_refused(synthesizer: Synthesizer) -> None:
    vector = style(synthesizer)
    cases: list[tuple[type[Exception], NDArray[np.generic], NDArray[np.float32], int]] = [
        (MaskTooSmall, mask(15, 40), vector, 0),
        (MaskTooLarge, mask(40, 1025), vector, 0),
        (MaskFloat, mask().astype(float), vector, 0),
        (ParameterInvalid, mask(), vector[:-1], 0),
        (ParameterInvalid, mask(), vector * np.float32("nan"), 0),
        (ParameterInvalid, mask(), vector, -1),
        (ParameterInvalid, mask(), vector, 2**64),
    ]
    for error, labels, used, seed in cases:
        with pytest.raises(error):
            synthesizer.synthesize(labels, used, seed=seed)  # type: ignore[arg-type]
    with pytest.raises(StyleUnreadable, match="convert"):
        synthesizer.encode_style(np.zeros((100, 100, 4), np.uint8))
    with pytest.raises(StyleTooSmall):
        synthesizer.encode_style(np.zeros((63, 100, 3), np.uint8))
