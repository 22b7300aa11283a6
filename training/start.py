"""The networks that a run begins with, when it goes on from a checkpoint of SIAN."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.checkpoint import Card, load_networks
from model.config import NetworkConfig
from model.encoder import StyleEncoder
from model.errors import ParameterInvalid
from model.generator import Generator
from training.config import TrainConfig


@dataclass(frozen=True)
class Start:
    """What a checkpoint gives to a run: its averaged networks, and where they come from.

    The discriminators are not in a checkpoint: they begin at random. slides: ids of those that the
    networks have seen.
    """

    generator: Generator
    encoder: StyleEncoder
    card: Card
    slides: list[str]

    @classmethod
    def read(cls, checkpoint: Path, config: TrainConfig) -> tuple["Start", TrainConfig]:
        """The start, and ``config`` with a note of it, by which a resumed run knows it again.

        Raises:
            ParameterInvalid: the networks of ``config`` are others, or the checkpoint does not
                tell its slides.
            CheckpointError: as ``model.checkpoint.verify``.
        """
        generator, encoder, card = load_networks(checkpoint, "cpu")
        if card.config != config.network:
            raise ParameterInvalid(
                f"{checkpoint} holds another network than the one to be trained"
                f"{_differing(card, config)}. Choose the --method, --variant and --width that it "
                "was trained with, or another --start-from."
            )
        slides = slides_of(card, checkpoint, "--start-from")
        return cls(generator, encoder, card, slides), replace(config, start_from=card.sha256)

    def networks(self) -> tuple[Generator, StyleEncoder]:
        """Copies to be trained."""
        generator, encoder = copy.deepcopy((self.generator, self.encoder))
        return generator.requires_grad_().train(), encoder.requires_grad_().train()

    @property
    def facts(self) -> dict[str, Any]:
        """For the card of what is made of it."""
        told = self.card.training
        facts = {"sha256": self.card.sha256, "code_version": self.card.code_version}
        return facts | {key: told[key] for key in ("steps", "hours", "started_from") if key in told}


def slides_of(card: Card, checkpoint: Path, option: str) -> list[str]:
    """Ids of the slides that the checkpoint was trained on.

    Raises ParameterInvalid, naming the ``option`` that chose it, when its card has no such list.
    """
    slides = card.training.get("slides")
    if not isinstance(slides, list):
        raise ParameterInvalid(
            f"The card of {checkpoint} has no list training.slides, by which slides that it has "
            f"seen are never judged. Choose another {option}."
        )
    return [str(slide) for slide in slides]


def steps_before(training: dict[str, Any]) -> int:
    """Steps of the runs that a run began with, by the field ``training`` of a card."""
    before = training.get("started_from")
    return int(before.get("steps", 0)) + steps_before(before) if isinstance(before, dict) else 0


def _differing(card: Card, config: TrainConfig) -> str:
    if not isinstance(config.network, NetworkConfig):
        return ""
    theirs, ours = card.config.to_dict(), config.network.to_dict()
    return f": {', '.join(sorted(name for name in ours if ours[name] != theirs[name]))}"
