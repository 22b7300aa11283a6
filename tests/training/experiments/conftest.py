"""A laboratory with small slides and small networks."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.draw import disk

from tests.training.experiments.stand_ins import Copy
from tests.training.fakes import CheapFeatures
from training.data.monuseg import Slide, read_dataset
from training.distributed import Process
from training.experiments.given import Given
from training.experiments.laboratory import Laboratory
from training.experiments.scale import SCALES
from training.experiments.sitting import Sitting
from training.methods import METHODS, Method
from training.speed import Precision
from training.trained import RESULT_NAME

SLIDES = {"a-kidney": "train", "b-breast": "train", "c-kidney": "test", "d-breast": "test"}
SIDE_PX = 504  # four tiles


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training and two test slides: dark discs on a pink ground."""
    root = tmp_path_factory.mktemp("data")
    for number, (name, split) in enumerate(SLIDES.items()):
        rng = np.random.default_rng(number)
        labels = np.zeros((SIDE_PX, SIDE_PX), np.uint16)
        for label, (row, col) in enumerate(rng.integers(8, SIDE_PX - 8, (120, 2)), start=1):
            labels[disk((row, col), 9, shape=labels.shape)] = label
        image = np.where(labels[..., None] > 0, (90, 50, 130), (230, 170, 200 - 10 * number))
        noisy = (image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)
        for kind, picture in (("images", noisy), ("instances", labels)):
            folder = root / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{name}.png")
    facts = [{"id": i, "split": split, "organ": i[2:]} for i, split in SLIDES.items()]
    (root / "manifest.json").write_text(json.dumps(facts))
    return root


@pytest.fixture
def laboratory(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Laboratory]:
    """The smoke scale in one folder; options change it. ``minutes`` may be over already."""
    monkeypatch.setattr("training.experiments.laboratory.Vgg19.load", lambda _: CheapFeatures())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(
        minutes: float = math.inf,
        data: Path = small_data,
        slides: Sequence[Slide] | None = None,
        methods: Mapping[str, Method] = METHODS,
        given: Given | None = None,
        precision: Precision = "auto",
        **options: Any,
    ) -> Laboratory:
        values = {"steps": 1, "test_tiles": 4, "segnet_steps": 1, "synthetic": 2}
        scale = SCALES["smoke"].with_options(**(values | options))
        until = time.monotonic() + 60 * minutes
        sitting = Sitting(Process(0, 1, torch.device("cpu")), 0, until, precision)
        return Laboratory(
            read_dataset(data) if slides is None else slides,
            tmp_path / "vgg",
            tmp_path / "runs",
            scale,
            sitting,
            methods=methods,
            given=given,
        )

    return make


@pytest.fixture
def copying(laboratory: Callable[..., Laboratory]) -> Callable[..., Laboratory]:
    """A laboratory whose networks copy their style, a whole tile."""

    def make(**options: object) -> Laboratory:
        now = laboratory(**({"crop_px": 256} | options))
        now.model = lambda method, seed: Copy()  # type: ignore[method-assign]

        def train(method: str, seed: int) -> Path:
            path = now.run(method, seed) / RESULT_NAME
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(method)
            return path

        now.train = train  # type: ignore[method-assign]
        now.check = lambda method, seed: None  # type: ignore[method-assign]
        return now

    return make
