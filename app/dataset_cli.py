"""What ``sian dataset`` does."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import typer

from app.masks_cli import parse_size
from app.network import load_network
from app.settings import Settings
from model.checkpoint import verify
from model.formats import MaskFormat
from model.styles import StyleBank
from worker.dataset.folder import DatasetFolder, request_in
from worker.dataset.request import DatasetRequest, usual_organs
from worker.request import draw_seed
from worker.style import parse_weights

_LINE_EVERY_S = 30


def make(
    out: Path,
    *,
    count: int,
    organs: str | None,
    size: str,
    seed: int | None,
    formats: str,
    checkpoint: Path | None,
    device: str | None,
) -> None:
    """Make or finish the dataset in ``out`` and say so.

    Raises:
        ParameterInvalid, StyleUnknown, CheckpointError, FileUnwritable: the one that applies.
    """
    settings = Settings.load(checkpoint=checkpoint, device=device)
    card = verify(settings.checkpoint)
    bank = StyleBank.load(settings.checkpoint)
    width, height = parse_size(size, "--size")
    if seed is None:
        found = request_in(out)
        seed = draw_seed() if found is None else found.seed
    request = DatasetRequest(
        count=count,
        organs=usual_organs(bank) if organs is None else parse_organs(organs),
        height=height,
        width=width,
        seed=seed,
        formats=cast(
            tuple[MaskFormat, ...],
            tuple(name.strip() for name in formats.split(",") if name.strip() not in ("", "png")),
        ),
    )
    request.check_styles(bank)
    folder = DatasetFolder(out, request, checkpoint_sha256=card.sha256)
    synthesizer = load_network(settings)
    with _progress(str(out), count) as advance:
        folder.make(synthesizer, advance)
    print(f"{out} ({count} tiles, seed {seed})")


@contextmanager
def _progress(label: str, count: int) -> Iterator[Callable[[int], None]]:
    """What is to be told how many tiles are there. It shows a bar on a terminal, and elsewhere, as
    in the log of a batch system, writes a line now and then."""
    if sys.stderr.isatty():
        with typer.progressbar(length=count, label=label, file=sys.stderr) as bar:
            yield lambda done: bar.update(done - bar.pos)
        return
    said = -math.inf

    def write(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _LINE_EVERY_S:
            said = now
            print(f"{label}: {done} of {count} tiles", file=sys.stderr, flush=True)

    yield write


def parse_organs(text: str) -> dict[str, float]:
    """Weights of ``kidney,liver`` or ``{"kidney": 2, "liver": 1}``. Raises
    StyleWeightsInvalid."""
    if not text.lstrip().startswith("{"):
        return dict.fromkeys((name.strip() for name in text.split(",") if name.strip()), 1.0)
    return parse_weights(text)
