"""A dataset as jobs: each makes a part of its tiles, so that several workers can share it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from worker.dataset.request import DatasetRequest

MOST_PARTS = 8
_SMALLEST_PART = 32
"""Tiles; to divide fewer among workers gains nothing."""


@dataclass(frozen=True)
class DatasetPart:
    """One part of a dataset, as a job's request.

    dataset: all of it.
    checkpoint_sha256: of the network that all of it is to be painted with.
    dataset_id: id of the job that makes the first part, which is the dataset's.
    part, parts: which it is, of how many.
    """

    dataset: DatasetRequest
    checkpoint_sha256: str
    dataset_id: str
    part: int
    parts: int

    kind: ClassVar[str] = "dataset"
    unit: ClassVar[str] = "tiles"
    large: ClassVar[bool] = False
    inputs: ClassVar[list[str]] = []

    @property
    def tiles(self) -> range:
        """Their numbers in the dataset: those of the parts follow one another."""
        count = self.dataset.count
        return range(self.part * count // self.parts, (self.part + 1) * count // self.parts)

    @property
    def n(self) -> int:
        return len(self.tiles)

    @property
    def seed(self) -> int:
        return self.dataset.seed

    def job_ids(self) -> list[str]:
        """Of the jobs of all parts, in order."""
        return [part_id(self.dataset_id, part) for part in range(self.parts)]

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "DatasetPart":
        """From what the JSON holds beside the kind."""
        return cls(**{**values, "dataset": DatasetRequest.from_values(values["dataset"])})


def divide(
    dataset: DatasetRequest, dataset_id: str, *, checkpoint_sha256: str, most: int = MOST_PARTS
) -> list[DatasetPart]:
    """The parts of a dataset, ``most`` at most."""
    parts = max(1, min(most, MOST_PARTS, dataset.count // _SMALLEST_PART))
    return [
        DatasetPart(dataset, checkpoint_sha256, dataset_id, part, parts) for part in range(parts)
    ]


def part_id(dataset_id: str, part: int) -> str:
    """Id of the job of a part: made at the same time as the dataset's, and as hard to guess."""
    if part == 0:
        return dataset_id
    return dataset_id[:12] + hashlib.sha256(f"{dataset_id}/{part}".encode()).hexdigest()[:20]
