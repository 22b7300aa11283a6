"""One sitting of an experiment: where it runs, and until when."""

import math
import time
from dataclasses import dataclass

import torch

from model.device import device_name
from model.errors import RunStopped, RunUnfinished, TrainingError
from training.distributed import Process
from training.speed import Precision, settled


@dataclass(frozen=True)
class Sitting:
    """Where the work runs, and until when: a time of ``time.monotonic``; and the precision in which
    networks are trained."""

    process: Process
    workers: int = 1
    until: float = math.inf
    precision: Precision = "auto"

    @property
    def facts(self) -> dict[str, str]:
        """For files of results: where what they tell was measured."""
        return {"device": device_name(self.process.device), "torch": str(torch.__version__)}

    @property
    def trains(self) -> str:
        """Where, and in which precision."""
        device = self.process.device
        return f"{device_name(device)}, {settled(self.precision, device)}"

    @property
    def minutes_left(self) -> float:
        return (self.until - time.monotonic()) / 60

    def go_on(self, what: str) -> None:
        """Raises RunUnfinished when the time is over; ``what`` is left to do."""
        if self.minutes_left <= 0:
            raise self.ended(f"before {what} was finished")

    def ended(self, where: str) -> TrainingError:
        """The error for work that ended early: RunUnfinished when the time is over, else
        RunStopped."""
        again = "Run the same command again to go on from here."
        if self.minutes_left <= 0:
            return RunUnfinished(f"The time is over {where}. {again}")
        return RunStopped(f"Stopped {where}. {again}")
