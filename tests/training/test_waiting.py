"""Waiting for data, on a CPU and on a GPU that works behind the program's back."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from training.waiting import timed


def test_on_a_cpu_every_wait_is_idle_and_the_step_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("training.waiting.time.perf_counter", lambda: now)

    def batches() -> Iterator[dict[str, Tensor]]:
        nonlocal now
        for seconds in (0.5, 0.25, 0.0):
            now += seconds
            yield {}

    waits = []
    for _, waited in timed(batches(), torch.device("cpu")):
        waits.append(waited)
        now += 2  # the step
    assert waits == [0.5, 0.25, 0.0]


class FakeGpu:
    """A queue of work: an event takes place when all that was queued before it is done."""

    def __init__(self) -> None:
        self.now, self.busy_until = 0.0, 0.0

    def queue(self, seconds: float) -> None:
        self.busy_until = max(self.now, self.busy_until) + seconds

    def event(self, enable_timing: bool) -> "FakeEvent":
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu, self.at = gpu, 0.0

    def record(self) -> None:
        self.at = max(self.gpu.now, self.gpu.busy_until)

    def query(self) -> bool:
        return self.at <= self.gpu.now

    def synchronize(self) -> None:
        self.gpu.now = max(self.gpu.now, self.at)

    def elapsed_time(self, later: "FakeEvent") -> float:
        assert self.query()
        assert later.query()
        return 1000 * (later.at - self.at)


@pytest.mark.parametrize(
    ("step", "load", "expected"),
    [
        (0.3, 0.1, [0.1, 0.0, 0.0, 0.0]),  # the GPU is behind: waiting is free
        (0.1, 0.3, [0.3, 0.2, 0.2, 0.2]),  # it idles for what loading takes longer
        (0.0, 0.3, [0.3, 0.3, 0.3, 0.3]),
    ],
)
def test_on_a_gpu_only_what_it_idles_counts(
    monkeypatch: pytest.MonkeyPatch, step: float, load: float, expected: list[float]
) -> None:
    gpu = FakeGpu()
    monkeypatch.setattr(torch.cuda, "Event", gpu.event)

    def batches() -> Iterator[dict[str, Tensor]]:
        for _ in expected:
            gpu.now += load
            yield {}

    waits = []
    for _, waited in timed(batches(), torch.device("cuda")):
        waits.append(waited)
        gpu.queue(step)  # returns at once
    assert waits == pytest.approx(expected)
