"""Batches: which samples each process gets, and where a resumed run goes on."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.errors import ParameterInvalid, RunBusy
from training.data.loader import batches, workers_of
from training.distributed import Process
from training.sitting import alone_in


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


@pytest.mark.parametrize(("processes", "workers"), [(None, 15), (1, 15), (4, 3), (16, 0), (32, 0)])
def test_processes_of_one_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, processes: int | None, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert workers_of(None) == workers
    assert workers_of(7) == 7


def test_one_core_is_left_to_the_process_that_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 0), (2, 1), (128, 16)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert workers_of(None) == expected


def test_without_affinity_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert workers_of(None) == 5


TRAINS = """
import sys, time
from pathlib import Path
import torch
from tests.training.test_loader import Numbers
from training.data.loader import batches
from training.distributed import Process
from training.sitting import alone_in

with alone_in(Path(sys.argv[1])):
    alone = Process(0, 1, torch.device("cpu"))
    loader = batches(Numbers(), alone, batch_size=1, first_step=0, workers=2)
    for _ in range(2):  # each worker has begun
        next(loader)
    print("training", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_does_not_live_on_in_its_workers(tmp_path: Path) -> None:
    """They are forks, and take seconds to notice."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "training\n"
            with pytest.raises(RunBusy), alone_in(tmp_path):
                pass
        finally:
            process.kill()
    with alone_in(tmp_path):
        pass


def test_a_batch_must_split_over_the_processes() -> None:
    with pytest.raises(ParameterInvalid, match="batch of 4 cannot be split over 3 processes"):
        numbers(0, 3, 0, workers=0)
