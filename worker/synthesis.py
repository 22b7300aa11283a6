"""From a request and its files to finished tiles, for the server and the command line alike."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.memory import keep_freed_memory
from worker.request import SynthesisRequest
from worker.work import Tile, Work, work_on

if TYPE_CHECKING:
    from model.device import Precision
    from model.synthesizer import Synthesizer  # imports torch


def load(
    checkpoint: Path,
    *,
    device: str,
    threads: int,
    precision: Precision | None = None,
    max_batch: int = 8,
) -> Synthesizer:
    """Load a checkpoint for synthesis with so many CPU threads. Imports torch.

    Others as ``Synthesizer.load``, which says what is raised.
    """
    # OpenMP threads spin while they wait, unless told otherwise before torch loads. On cores
    # shared with another process a 128 px tile then took seven times as long (measured).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    import torch

    from model.synthesizer import Synthesizer

    torch.set_num_threads(threads)
    return Synthesizer.load(checkpoint, device=device, precision=precision, max_batch=max_batch)


def synthesize(
    synthesizer: Synthesizer,
    request: SynthesisRequest,
    mask: bytes,
    style_images: Sequence[bytes] = (),
) -> Iterator[Tile]:
    """The tiles of a request, each computed when it is asked for; one after another, in the
    thread that calls.

    Others as ``work_on``; raises what it raises, before the first tile.
    """
    yield from paint(synthesizer, work_on(synthesizer, request, mask, style_images))


def paint(synthesizer: Synthesizer, work: Work) -> Iterator[Tile]:
    """The tiles of a request whose files have been decoded, as ``synthesize``.

    As many passes at a time as the service makes of a request that is alone.
    """
    image_styles = [synthesizer.encode(style_input) for style_input in work.style_inputs]
    inputs = (work.pass_input(index, image_styles) for index in range(work.passes))
    for index, image_u8 in enumerate(synthesizer.paint_each(inputs)):
        if (tile := work.take(index, image_u8)) is not None:
            yield tile
