"""What is sent to the stack."""

import functools
import io
import threading

import httpx2
import numpy as np
from PIL import Image

from model.formats import write_mask
from tests.compose.stack import ROOT, Stack, wait_until
from tests.scenarios.masks import tiled

MASKS = [(ROOT / "examples" / f"mask-{name}.png").read_bytes() for name in ("crowded", "spindle")]


class Load:
    """One job after another, from a thread, until it is stopped. Answers other than 202 and 503
    or 429 with Retry-After are errors."""

    def __init__(self, stack: Stack) -> None:
        self.accepted: list[str] = []
        self.refused = 0
        self._stack = stack
        self._wrong: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_for(self, *, accepted: int = 0, refused: int = 0) -> None:
        wait_until(
            lambda: (len(self.accepted) >= accepted and self.refused >= refused) or self._has_ended,
            f"{accepted} accepted and {refused} refused",
        )
        assert not self._wrong, self._wrong

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        assert not self._wrong, self._wrong

    @property
    def _has_ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        seed = 0
        while not self._stopping.wait(0.1):
            seed += 1
            try:
                answer = self._stack.submit(MASKS[0], seed=seed, n=1)
            except httpx2.TransportError as error:
                self._wrong.append(repr(error))
                return
            if answer.status_code == 202:
                self.accepted.append(answer.headers["Location"])
            elif answer.status_code in (429, 503) and "Retry-After" in answer.headers:
                self.refused += 1
            else:
                self._wrong.append(f"{answer.status_code}: {answer.text}")
                return


class Client:
    """One request from a thread of its own."""

    def __init__(self, stack: Stack, mask: bytes, style: bytes, seed: int) -> None:
        self.answer: httpx2.Response | None = None
        self._request = functools.partial(stack.submit, mask, style=style, seed=seed, n=1)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.answer = self._request()


def largest_mask() -> bytes:
    """1024 x 1024: an example four times in both directions."""
    with Image.open(io.BytesIO(MASKS[0])) as image:
        part = np.asarray(image).astype(np.int32)
    return write_mask(tiled(part, 1024 // len(part)), "png")


def largest_style() -> bytes:
    """Just under 32 million pixels, the most that the default settings take."""
    with Image.open(ROOT / "examples" / "style-colon.png") as image:
        large = image.convert("RGB").resize((5600, 5600))
    file = io.BytesIO()
    large.save(file, "JPEG")
    return file.getvalue()
