"""What training asks of devices, and that it ends with the training. The flags need no GPU."""

from collections.abc import Iterator

import pytest
import torch

from model.device import compute_reproducibly
from training import speed
from training.speed import Precision, as_fast_as_possible, autocast

CUDA = torch.device("cuda")


def flags() -> tuple[object, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.backends.cuda.matmul.fp32_precision,
        torch.backends.cudnn.conv.fp32_precision,
    )


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    with as_fast_as_possible(CUDA):
        yield


def test_the_flags_come_back_even_after_an_error() -> None:
    compute_reproducibly("cuda")
    reproducible = flags()
    assert reproducible == (True, True, False, "ieee", "ieee")

    def interrupted() -> None:
        with as_fast_as_possible(CUDA):
            assert flags() == (False, False, True, "ieee", "tf32")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert flags() == reproducible


def test_the_cpu_needs_none_of_it() -> None:
    compute_reproducibly("cuda")
    before = flags()
    with as_fast_as_possible(torch.device("cpu")):
        assert flags() == before


def test_what_auto_is_depends_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for is_fast, auto in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(speed, "has_fast_bf16", lambda device, fast=is_fast: fast)
        assert speed.settled("auto", cpu) == auto
        assert speed.settled("bf16", cpu) == "bf16"
        assert speed.settled("fp32", cpu) == "fp32"


@pytest.mark.parametrize(
    ("precision", "is_fast", "dtype"),
    [
        ("bf16", False, torch.bfloat16),
        ("fp32", True, torch.float32),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
    ],
)
def test_precision_of_convolutions(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, is_fast: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(speed, "has_fast_bf16", lambda device: is_fast)
    images, kernel = torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 3, 3)
    with autocast(precision, torch.device("cpu")):
        assert torch.nn.functional.conv2d(images, kernel).dtype == dtype


def test_the_cpu_is_asked_for_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_bf16, has_amx in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has_bf16: has)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has=has_amx: has)
        assert speed.has_fast_bf16(torch.device("cpu")) == (has_bf16 or has_amx)
