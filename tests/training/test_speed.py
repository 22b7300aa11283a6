"""What training asks of CUDA, and that it ends with the training. The flags need no GPU."""

from collections.abc import Iterator

import pytest
import torch

from model.device import compute_reproducibly
from training.speed import as_fast_as_possible

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
            assert flags() == (False, False, True, "tf32", "tf32")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert flags() == reproducible


def test_the_cpu_needs_none_of_it() -> None:
    compute_reproducibly("cuda")
    before = flags()
    with as_fast_as_possible(torch.device("cpu")):
        assert flags() == before
