"""Layers: torch's numbers, and the same last bit whatever the threads and the company."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from model.layers import Conv2d, Linear
from tests.threads import threads


def twins(**options: Any) -> tuple[Conv2d, nn.Conv2d]:
    """A layer of ours and torch's, with the same weights."""
    ours, torchs = Conv2d(**options), nn.Conv2d(**options)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


class Dispatched(TorchDispatchMode):
    """The names of the operations that torch computes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


CONVOLUTIONS: list[dict[str, Any]] = [
    {"in_channels": 1, "out_channels": 32, "kernel_size": 1},
    {"in_channels": 96, "out_channels": 64, "kernel_size": 1, "bias": False},
    {"in_channels": 192, "out_channels": 192, "kernel_size": 3, "padding": 1},
    {
        "in_channels": 64, "out_channels": 64, "kernel_size": 3, "padding": 1, "groups": 2,
        "padding_mode": "reflect",
    },
    {
        "in_channels": 3, "out_channels": 32, "kernel_size": 3, "padding": 1, "stride": 2,
        "padding_mode": "reflect",
    },
    {"in_channels": 5, "out_channels": 16, "kernel_size": 3, "padding": (0, 1)},
]  # fmt: skip
SIDES = [(5, 5), (8, 8), (40, 24), (160, 160)]


def pixels(channels: int, side: tuple[int, int]) -> Tensor:
    x = torch.randn(1, channels, *side)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("side", SIDES)
def test_a_convolution_is_torchs(options, side) -> None:
    torch.manual_seed(0)
    ours, torchs = twins(**options)
    x = pixels(options["in_channels"], side)
    expected = torchs(x)
    assert torch.equal(ours(x), expected)  # with gradients it is the very same
    with torch.no_grad():
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            ours(x.expand(3, -1, -1, -1))[1:2], expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("side", SIDES)
def test_a_convolution_is_the_same_on_any_number_of_threads(options, side) -> None:
    torch.manual_seed(0)
    convolution = Conv2d(**options)
    x = pixels(options["in_channels"], side)
    with torch.no_grad():
        with threads(1):
            expected = convolution(x)
        for count in (2, 3, 4, 16):
            with threads(count):
                assert torch.equal(convolution(x), expected)


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_a_convolution_has_one_algorithm(options) -> None:
    """Torch would take another for small ones, and on one thread for 1 x 1."""
    convolution = Conv2d(**options)
    for side in SIDES:
        for count in (1, 2):
            with torch.no_grad(), threads(count), Dispatched() as dispatched:
                convolution(pixels(options["in_channels"], side))
            assert "aten.mkldnn_convolution.default" in dispatched.names
            assert not any("conv2d" in name for name in dispatched.names)


def test_a_convolution_can_be_compiled() -> None:
    """Torch's compiler does not know oneDNN's."""
    ours, torchs = twins(in_channels=3, out_channels=4, kernel_size=3, padding=1)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), torchs(x))


def test_a_convolution_has_gradients_and_other_precisions() -> None:
    ours, torchs = twins(in_channels=3, out_channels=4, kernel_size=1)
    x = torch.randn(2, 3, 6, 6)
    for layer in (ours, torchs):
        layer(x).square().sum().backward()
    assert torch.equal(ours.weight.grad, torchs.weight.grad)
    with torch.no_grad():
        assert torch.equal(ours.double()(x.double()), torchs.double()(x.double()))
        ours.float(), torchs.float()
        with torch.autocast("cpu", torch.bfloat16):
            half = ours(x)
            assert half.dtype == torch.bfloat16
            assert torch.equal(half, torchs(x))


def test_a_convolution_without_onednn_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, torchs = twins(in_channels=3, out_channels=4, kernel_size=3, padding=1)
    x = torch.randn(1, 3, 64, 64)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    with torch.no_grad():
        assert torch.equal(ours(x), torchs(x))


def test_a_convolution_pads_in_torchs_order() -> None:
    ours, torchs = twins(
        in_channels=3, out_channels=4, kernel_size=(3, 5), padding=(1, 2), padding_mode="reflect"
    )
    same, torchs_same = twins(in_channels=3, out_channels=4, kernel_size=3, padding="same")
    x = torch.randn(1, 3, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), torchs(x))
        torch.testing.assert_close(same(x), torchs_same(x))


def test_no_rows_are_no_rows() -> None:
    with torch.no_grad():
        assert Linear(5, 3)(torch.zeros(0, 5)).shape == (0, 3)


@pytest.mark.parametrize("bias", [True, False])
def test_a_row_is_the_same_wherever_it_is_and_on_any_number_of_threads(bias: bool) -> None:
    torch.manual_seed(0)
    linear, rows = Linear(649, 256, bias=bias), torch.randn(8, 649)
    plain = nn.functional.linear(rows, linear.weight, linear.bias)
    assert torch.equal(linear(rows), plain)  # with gradients one matrix product
    with torch.no_grad():
        with threads(1):
            alone = torch.cat([linear(row[None]) for row in rows])
        torch.testing.assert_close(alone, plain, rtol=1e-4, atol=1e-5)
        for count in (1, 2, 3, 4, 16):
            for order in (torch.arange(8), torch.arange(8).flip(0), torch.tensor([5])):
                with threads(count):
                    assert torch.equal(linear(rows[order]), alone[order])


def test_a_row_in_half_precision_is_the_same_wherever_it_is() -> None:
    torch.manual_seed(0)
    linear, rows = Linear(73, 64), torch.randn(8, 73)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        alone = torch.cat([linear(row[None]) for row in rows])
        assert alone.dtype == torch.bfloat16
        assert torch.equal(linear(rows.flip(0)), alone.flip(0))
