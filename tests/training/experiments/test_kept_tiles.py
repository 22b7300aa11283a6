"""Tiles and random masks that are kept: drawn once, and again only for what they were made for."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.errors import RunUnfinished
from training.experiments.laboratory import Laboratory, TileSet
from training.experiments.styles import RandomMasks, judged_set, organ_styles, random_set
from training.trained import RESULT_NAME, load_result

Make = Callable[..., Laboratory]


class Fake:
    """Draws its mask's ids and a grey that counts how often it was asked."""

    def __init__(self) -> None:
        self.drawn = 0

    def encode_style(self, image_u8: np.ndarray) -> np.ndarray:
        return image_u8.mean((0, 1)).astype(np.float32)

    def synthesize(self, mask_labels: np.ndarray, style: np.ndarray, *, seed: int) -> np.ndarray:
        self.drawn += 1
        return np.stack([mask_labels % 256, mask_labels * 0 + seed, mask_labels * 0], 2).astype(
            np.uint8
        )


def with_fake(laboratory: Laboratory, network: bytes = b"weights") -> Fake:
    """A laboratory whose only network is a stand-in."""
    fake = Fake()
    path = laboratory.run("pix2pix", 0) / RESULT_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(network)
    laboratory.train = lambda method, seed: path  # type: ignore[method-assign]
    laboratory.model = lambda method, seed: fake  # type: ignore[method-assign]
    return fake


def test_tiles_are_drawn_once(laboratory: Make) -> None:
    first = laboratory()
    fake = with_fake(first)
    images = first.tiles("pix2pix", 0, judged_set(first, "none")).images
    again = first.tiles("pix2pix", 0, judged_set(first, "none")).images
    assert fake.drawn == 4
    assert all(np.array_equal(*pair) for pair in zip(images, again, strict=True))


def test_tiles_of_other_masks_are_drawn_again(laboratory: Make) -> None:
    few, many = laboratory(), laboratory(test_tiles=8)
    with_fake(few)
    fake = with_fake(many)
    few.tiles("pix2pix", 0, judged_set(few, "none"))
    images = many.tiles("pix2pix", 0, judged_set(many, "none")).images
    for tile, image in zip(many.judged, images, strict=True):
        assert np.array_equal(image[..., 0], tile.mask_labels % 256)
    assert fake.drawn < 8  # the first tile is the same


def test_fewer_of_the_same_tiles_leave_the_others(laboratory: Make) -> None:
    for count in (3, 2, 3):
        now = laboratory(synthetic=count)
        fake = with_fake(now)
        assert len(now.tiles("pix2pix", 0, random_tiles(now)).images) == count
    assert fake.drawn == 0


def test_tiles_of_another_network_are_drawn_again(laboratory: Make) -> None:
    for network in (b"one", b"other"):
        now = laboratory()
        fake = with_fake(now, network)
        now.tiles("pix2pix", 0, judged_set(now, "same"))
        assert fake.drawn == 4


def test_tiles_of_unknown_origin_are_drawn_again(laboratory: Make) -> None:
    now = laboratory()
    fake = with_fake(now)
    folder = now.run("pix2pix", 0) / "test-none"
    folder.mkdir()
    Image.new("RGB", (256, 256)).save(folder / "00000.png")
    now.tiles("pix2pix", 0, judged_set(now, "none"))
    assert fake.drawn == 4


def test_random_masks_are_drawn_once_for_all_methods(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = laboratory(synthetic=2)
    with_fake(now)
    first = now.tiles("pix2pix", 0, random_tiles(now)).images
    assert first[0].max() > 1

    def never(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr("training.experiments.styles.random_mask", never)
    shutil.rmtree(now.run("pix2pix", 0) / "random")
    again = now.tiles("pix2pix", 0, random_tiles(now)).images
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))


def test_no_random_mask_is_drawn_when_the_time_is_over(laboratory: Make) -> None:
    with pytest.raises(RunUnfinished, match="random masks"):
        RandomMasks(laboratory(minutes=0), ["kidney"])[0]


def test_an_organ_of_somebodys_own_has_the_nuclei_of_all_together(laboratory: Make) -> None:
    found = [RandomMasks(laboratory(synthetic=2), [organ]) for organ in ("skin", "pooled", "liver")]
    origins = [masks.origins for masks in found]
    assert origins[0] == origins[1] != origins[2]


def random_tiles(laboratory: Laboratory) -> TileSet:
    styles = organ_styles(laboratory)
    return random_set(RandomMasks(laboratory, list(styles)), styles)


def test_every_method_is_drawn_in_the_same_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIAN's own networks would be served in bf16 on a GPU; the others compute in fp32."""
    asked = {}
    monkeypatch.setattr(
        "training.trained.Synthesizer.load", lambda path, **options: asked.update(options)
    )
    (tmp_path / "checkpoint.json").write_text("{}")
    load_result(tmp_path / RESULT_NAME, device="cuda")
    assert asked == {"device": "cuda", "precision": "fp32", "max_batch": 1}


def test_tiles_beside_the_judged_are_as_many_of_each_slide(laboratory: Make) -> None:
    now = laboratory(test_tiles=5, crop_px=256)
    assert Counter(t.slide_id for t in now.beside_judged) == Counter(t.slide_id for t in now.judged)
    places = {(tile.slide_id, tile.top, tile.left) for tile in now.test_tiles}
    for tile in now.beside_judged:
        assert (tile.slide_id, tile.top, tile.left) not in places
        assert tile.image_u8.shape == (256, 256, 3)


def test_a_style_is_encoded_once_for_many_masks(laboratory: Make) -> None:
    now = laboratory(synthetic=6)
    asked: list[float] = []

    class Counting(Fake):
        def encode_style(self, image_u8: np.ndarray) -> np.ndarray:
            asked.append(image_u8.mean())
            return super().encode_style(image_u8)

    tiles = random_tiles(now)
    for fake in (Counting(), Counting()):
        for k in range(6):
            tiles.draw(fake, k)
    assert len(asked) == 4  # two organs, two networks
    assert len(set(asked)) == 2
