"""The rows of a table: what was measured, over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.experiments.measures import Measures


@dataclass(frozen=True)
class Row:
    """One line of a table.

    name: a method, a training set, or a floor. values: one entry a seed, in their order.
    facts: whatever else belongs to the row, such as the source of its styles.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    values: Sequence[Measures]
    facts: dict[str, Any] = field(default_factory=dict)

    def mean(self, measure: str) -> float | None:
        """Over the seeds; None for a measure that the row does not have."""
        found = [values[measure] for values in self.values if measure in values]
        return float(np.mean(found)) if found else None

    def deviation(self, measure: str) -> float | None:
        """Standard deviation over the seeds (divisor: seeds - 1); None for a single seed."""
        found = [values[measure] for values in self.values if measure in values]
        return float(np.std(found, ddof=1)) if len(found) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """Every measure as mean, standard deviation and the values it comes from."""
        measures = {
            measure: {
                "mean": self.mean(measure),
                "deviation": self.deviation(measure),
                "values": [values[measure] for values in self.values],
            }
            for measure in self.values[0]
        }
        line = {"method": self.name, "title": self.title, "seeds": list(self.seeds)}
        return line | self.facts | measures
