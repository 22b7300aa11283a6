"""A trained SegNet: any size, any company, and what is no SegNet is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from model.errors import CheckpointMismatch, CheckpointMissing, CheckpointTruncated
from model.pixels import place, u8_to_pm1
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated
from training.segmentation.instances import class_map, recover_instances
from training.segmentation.segmenter import Segmenter
from training.segmentation.segnet import SegNet

MakeConfig = Callable[..., SegNetConfig]
SIZES = [(64, 64), (40, 70), (64, 64), (64, 64), (1, 5), (64, 64)]


class ReadsClasses(SegNet):
    """Knows the answer: channel c of the image says how likely class c is."""

    def __init__(self) -> None:
        super().__init__(width=2)
        self.seen: list[Tensor] = []

    def forward(self, image_pm1: Tensor) -> Tensor:
        self.seen.append(image_pm1)
        return image_pm1


@pytest.fixture
def segmenter(segnet_config: MakeConfig) -> Segmenter:
    """Of random weights, with batch norm statistics of noise."""
    torch.manual_seed(0)
    net = place(SegNet(4), "cpu")
    for _ in range(3):
        net(torch.rand(2, 3, 64, 64) * 2 - 1)
    return Segmenter(net, segnet_config())


def noise(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_nuclei_are_recovered_from_the_most_likely_classes(
    annotated: list[Annotated], segnet_config: MakeConfig
) -> None:
    labels = annotated[0].labels[:90, :101]
    classes = class_map(labels)
    image = (np.eye(3)[classes] * 100 + 20).astype(np.uint8)
    found = Segmenter(ReadsClasses(), segnet_config()).segment(image)
    assert found.dtype == np.int32
    assert found.max() > 5
    np.testing.assert_array_equal(found, recover_instances(classes))


@pytest.mark.parametrize("size", [(33, 64), (64, 64), (7, 90), (1, 1)])
def test_images_are_mirrored_up_to_a_multiple_of_32(
    segnet_config: MakeConfig, size: tuple[int, int]
) -> None:
    net, image = ReadsClasses(), noise(0, size)
    assert Segmenter(net, segnet_config()).segment(image).shape == size
    padding = [(0, -side % 32) for side in size]
    padded = np.pad(image, (*padding, (0, 0)), mode="reflect")
    expected = u8_to_pm1(torch.from_numpy(padded).permute(2, 0, 1)[None])
    assert torch.equal(net.seen[0], expected)


def test_many_images_are_segmented_as_each_one_is(segmenter: Segmenter) -> None:
    images = [noise(seed, size) for seed, size in enumerate(SIZES)]
    together = segmenter.segment_many(images, batch_size=2)
    assert [labels.shape for labels in together] == SIZES
    assert sum(labels.max() for labels in together) > 0
    for image, labels in zip(images, together, strict=True):
        np.testing.assert_array_equal(labels, segmenter.segment(image))


def test_equal_neighbours_share_a_pass(segnet_config: MakeConfig) -> None:
    net = ReadsClasses()
    images = [noise(seed, size) for seed, size in enumerate(SIZES)]
    Segmenter(net, segnet_config()).segment_many(images, batch_size=2)
    assert [len(batch) for batch in net.seen] == [1, 1, 2, 1, 1]
    assert Segmenter(net, segnet_config()).segment_many([]) == []


def test_what_was_saved_is_loaded(segmenter: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "new" / "segnet.safetensors"
    segmenter.save(path)
    loaded = Segmenter.load(path, device="cpu")
    assert loaded.config == segmenter.config
    assert not loaded.net.training
    for key, value in segmenter.net.state_dict().items():
        assert torch.equal(value, loaded.net.state_dict()[key])
    image = noise(9, (64, 96))
    np.testing.assert_array_equal(loaded.segment(image), segmenter.segment(image))
    assert [file.name for file in path.parent.iterdir()] == ["segnet.safetensors"]


def test_what_is_no_segnet_is_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "segnet.safetensors"
    with pytest.raises(CheckpointMissing, match="no trained SegNet"):
        Segmenter.load(path)
    segmenter.save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointTruncated, match="cut short or damaged"):
        Segmenter.load(path)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointMismatch, match="does not hold a SegNet"):
        Segmenter.load(path)
    save_file({"weight": torch.zeros(3)}, path, {"segnet": '{"width": 4}'})
    with pytest.raises(CheckpointMismatch, match="does not hold a SegNet"):
        Segmenter.load(path)
