"""Batches: which samples each process gets, and where a resumed run goes on."""

import pytest
import torch
from torch import Tensor

from model.errors import ParameterInvalid
from training.data.loader import batches
from training.distributed import Process


class Numbers:
    """Sample k is k."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {"k": torch.tensor(k)}


def numbers(rank: int, world: int, first_step: int, workers: int) -> list[list[int]]:
    process = Process(rank, world, torch.device("cpu"))
    loader = batches(Numbers(), process, batch_size=4, first_step=first_step, workers=workers)
    return [batch["k"].tolist() for batch in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_in_order(workers: int) -> None:
    assert numbers(0, 1, 0, workers) == [list(range(k, k + 4)) for k in range(0, 24, 4)]


def test_a_resumed_run_goes_on_with_the_next_batch() -> None:
    assert numbers(0, 1, 4, workers=1) == [[16, 17, 18, 19], [20, 21, 22, 23]]
    assert numbers(0, 1, 6, workers=0) == []


def test_processes_share_a_batch_without_overlap() -> None:
    assert numbers(0, 2, 4, workers=0) == [[16, 17], [20, 21]]
    assert numbers(1, 2, 4, workers=0) == [[18, 19], [22, 23]]


def test_a_batch_must_split_over_the_processes() -> None:
    with pytest.raises(ParameterInvalid, match="batch of 4 cannot be split over 3 processes"):
        numbers(0, 3, 0, workers=0)
