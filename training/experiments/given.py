"""A checkpoint that was trained otherwise, as one more row of the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checkpoint import Card, verify
from model.errors import ParameterInvalid
from training.config import TrainConfig
from training.data.monuseg import Slide
from training.methods import Method
from training.start import slides_of, steps_before

GIVEN = "checkpoint"
"""The name of its row."""


@dataclass(frozen=True)
class Given:
    """path: of its file. card: what it says of itself."""

    path: Path
    card: Card

    @classmethod
    def read(cls, path: Path, slides: Sequence[Slide]) -> "Given":
        """Raises CheckpointError, and ParameterInvalid when it has seen a slide that is judged, or
        does not tell what it has seen."""
        card = verify(path)
        judged = {slide.id for slide in slides if slide.split == "test"}
        seen = sorted(judged.intersection(slides_of(card, path, "--checkpoint")))
        if seen:
            raise ParameterInvalid(
                f"{path} was trained on {len(seen)} of the slides that are judged, {seen[0]} for "
                "one. Choose another --checkpoint."
            )
        return cls(path, card)

    @property
    def label(self) -> str:
        """In names of files and folders, so that no two checkpoints share them."""
        return f"{GIVEN}-{self.card.sha256[:8]}"

    @property
    def method(self) -> Method:
        """As the tables know it. It is never trained there."""
        return Method(f"checkpoint {self.card.name}", TrainConfig(network=self.card.config))

    @property
    def facts(self) -> dict[str, Any]:
        """What it was trained for, as far as its card tells, for the row."""
        training = self.card.training
        config = training.get("config")
        config = config if isinstance(config, dict) else {}
        return {
            "sha256": self.card.sha256,
            "code_version": self.card.code_version,
            "steps": training.get("steps"),
            "steps_before": steps_before(training),
            "batch": config.get("batch_size"),
            "crop_px": config.get("crop_px"),
            "start": self.card.config.start,
        }
