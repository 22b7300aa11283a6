"""SegNet: its size, its poolings against PyTorch's, and what it computes with."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from model.pixels import channels_last, place
from training.segmentation.instances import UNTOLD
from training.segmentation.segnet import SegNet, max_pool, max_unpool
from training.segmentation.step import cross_entropy


@pytest.fixture
def _deterministic() -> Iterator[None]:
    """As after a Synthesizer was loaded on a GPU in the same process."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def small(width: int = 4) -> SegNet:
    torch.manual_seed(0)
    return place(SegNet(width), "cpu")


def test_the_full_network_has_the_published_size() -> None:
    """29.46 million in the paper, with its eleven classes and a bias in every convolution."""
    count = sum(parameter.numel() for parameter in SegNet().parameters())
    assert count == 29_436_803
    assert count == pytest.approx(29.46e6, rel=1e-3)


def test_the_decoder_mirrors_the_encoder() -> None:
    widths = [
        (conv.in_channels, conv.out_channels)
        for conv in SegNet(8, classes=5).modules()
        if isinstance(conv, nn.Conv2d)
    ]
    assert len(widths) == 26
    assert [(after, before) for before, after in reversed(widths[1:13])] == widths[13:25]
    assert widths[0] == (3, 8)
    assert widths[25] == (8, 5)


@pytest.mark.parametrize("levels", [2, 1000])
def test_poolings_are_those_of_pytorch(levels: int) -> None:
    """With few levels most windows hold their maximum several times."""
    source = torch.Generator().manual_seed(0)
    values = torch.randint(levels, (2, 3, 6, 10), generator=source).float()
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    pooled, corner = max_pool(ours)
    expected, places = F.max_pool2d(theirs, 2, return_indices=True)
    assert torch.equal(pooled, expected)
    back, expected_back = max_unpool(pooled, corner), F.max_unpool2d(expected, places, 2)
    assert torch.equal(back, expected_back)
    weights = torch.rand(back.shape, generator=source)
    (back * weights).sum().backward()
    (expected_back * weights).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_unpooling_puts_values_back_in_their_corners() -> None:
    x = torch.tensor([[[[1.0, 2.0, 9.0, 1.0], [4.0, 3.0, 5.0, 6.0]]]])
    pooled, corner = max_pool(x)
    assert corner.tolist() == [[[[2, 0]]]]
    expected = [[[[0.0, 0.0, 9.0, 0.0], [4.0, 0.0, 0.0, 0.0]]]]
    assert max_unpool(pooled, corner).tolist() == expected


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96)])
def test_scores_have_the_size_of_the_image(height: int, width: int) -> None:
    scores = small()(channels_last(torch.zeros(2, 3, height, width)))
    assert scores.shape == (2, 3, height, width)
    assert scores.is_contiguous(memory_format=torch.channels_last)


def test_an_image_moved_by_a_stride_has_its_scores_moved() -> None:
    net = small().eval()
    image = torch.zeros(1, 3, 384, 384)
    image[..., 150:170, 150:170] = 1
    moved = torch.roll(image, (32, 32), (2, 3))
    with torch.inference_mode():
        here, there = net(image), net(moved)
    assert here[..., 150:170, 150:170].std() > 100 * here[..., :8, :8].std()
    torch.testing.assert_close(here[..., 150:170, 150:170], there[..., 182:202, 182:202])


def test_initial_weights_keep_the_variance() -> None:
    net = SegNet(32)
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 20_000:
            expected = (2 / (9 * module.in_channels)) ** 0.5
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.03)
    assert not net.classifier.bias.any()


def test_the_loss_is_the_weighted_mean_of_pytorch() -> None:
    source = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 8, 8, generator=source)
    classes = torch.randint(3, (2, 8, 8), generator=source)
    weights = torch.tensor([0.5, 1.0, 3.0])
    expected = F.cross_entropy(scores, classes, weights)
    torch.testing.assert_close(cross_entropy(scores, classes, weights), expected)


def test_pixels_without_a_class_take_no_part_in_the_loss() -> None:
    source = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 8, 8, generator=source, requires_grad=True)
    classes = torch.randint(3, (2, 8, 8), generator=source)
    weights = torch.tensor([0.5, 1.0, 3.0])
    expected = cross_entropy(scores[:, :, :, :5], classes[:, :, :5], weights)
    classes[:, :, 5:] = UNTOLD
    loss = cross_entropy(scores, classes, weights)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert scores.grad is not None
    assert not scores.grad[:, :, :, 5:].any()


@pytest.mark.usefixtures("_deterministic")
def test_it_trains_where_deterministic_algorithms_are_asked_for() -> None:
    net = small()
    scores = net(torch.zeros(2, 3, 32, 32))
    loss = cross_entropy(scores, torch.zeros(2, 32, 32, dtype=torch.long), torch.ones(3))
    loss.backward()
    assert net.classifier.weight.grad is not None
