"""What a client says to the service and makes of its answers, without a connection.

A flow is a generator that yields what is to be done, a ``Call`` or a ``Pause``, and is sent the
``Reply`` to each call. ``app.client`` runs flows, with and without asyncio.
"""

import json
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.problems import OUTCOMES
from app.schemas import JobDocument, ModelCard, StyleDocument, StylesDocument
from model.errors import (
    JobCanceled,
    RequestInFlight,
    ServiceError,
    SianError,
    StoreUnavailable,
    TryAgainLater,
)
from model.formats import MaskFormat, write_mask

Mask = bytes | Path | NDArray[Any]
"""A file's content, a file, or the ids (H, W) themselves."""
Image = bytes | Path
Images = Image | Sequence[Image]
"""A reference image, or several that are mixed."""
OnProgress = Callable[[JobDocument], None]


class Options(TypedDict, total=False):
    """Fields of POST /synthesize beside the mask and the style."""

    seed: int | None
    n: int
    mpp: float | None
    label_components: bool
    width: int | None
    height: int | None
    deadline_s: float | None


class MaskWish(TypedDict, total=False):
    """Fields of POST /masks beside the format."""

    organ: str
    statistics: Mapping[str, float]
    width: int
    height: int
    seed: int | None


class MaskReading(TypedDict, total=False):
    """Fields of POST /masks/convert beside mask and format."""

    label_components: bool
    width: int | None
    height: int | None


_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_BUSY = (429, 503)
_CLASSES = {kind.code: kind for kind in OUTCOMES}


@dataclass(frozen=True)
class Call:
    """A request. safe: it may be sent again when no answer came."""

    method: str
    path: str
    safe: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] | None = None
    files: Sequence[tuple[str, bytes]] | None = None
    body: Any = None


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    content: bytes


class Unreachable(Exception):
    """Thrown into a flow in place of a reply."""


@dataclass(frozen=True)
class Tile:
    """data: the file, a PNG, or of a mask above 1024 px a side a TIFF. sha256: of it.
    manifest: what the tile was made from."""

    data: bytes
    media_type: str
    seed: int
    sha256: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class MaskFile:
    """A mask that the service drew or converted. seed: of one that it drew."""

    data: bytes
    format: MaskFormat
    seed: int | None = None


Result = TypeVar("Result")
Flow = Generator[Call | Pause, Reply, Result]


def call(wanted: Call, patience_s: float) -> Flow[Reply]:
    """A call, again while the service is busy or cannot be reached, for so long.

    Raises:
        SianError: what the service says of a request that failed, of its class in
            ``model.errors``; StoreUnavailable when it cannot be reached.
    """
    until, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while True:
        try:
            reply = yield wanted
        except Unreachable as error:
            if not wanted.safe or time.monotonic() + pause_s > until:
                raise StoreUnavailable(
                    f"The service cannot be reached ({error}).", retry_after_s=1
                ) from error
        else:
            if reply.status < 400:
                return reply
            if reply.status not in _BUSY or not wanted.safe:
                raise _error_of(reply)
            pause_s = max(pause_s, _retry_after_s(reply))
            if time.monotonic() + pause_s > until:
                raise _error_of(reply)
        yield Pause(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def submit(
    mask: Mask,
    *,
    style: Images | None,
    fields: Mapping[str, object],
    patience_s: float,
) -> Flow[JobDocument]:
    """POST /synthesize, not waiting for the tiles. fields: those that are not None are sent."""
    images = [] if style is None else [style] if isinstance(style, bytes | Path) else style
    files = [("mask", mask_bytes(mask)), *(("style", _bytes(image)) for image in images)]
    job = yield from _submit("/synthesize", files, fields, patience_s)
    return job


def keep_style(
    image: Image, fields: Mapping[str, object], patience_s: float
) -> Flow[StyleDocument]:
    """POST /styles until it is kept. fields: as in ``submit``, the name among them."""
    job = yield from _submit("/styles", [("style", _bytes(image))], fields, patience_s)
    job = yield from wait(job, on_progress=lambda job: None, patience_s=patience_s)
    style = yield from get_style(str(fields["name"]), patience_s)
    return style


def _submit(
    path: str,
    files: Sequence[tuple[str, bytes]],
    fields: Mapping[str, object],
    patience_s: float,
) -> Flow[JobDocument]:
    wanted = Call(
        "POST",
        path,
        headers={
            "Accept": "application/json",
            "Prefer": "respond-async",
            # Sent again after a lost answer, it is the same job.
            "Idempotency-Key": str(uuid.uuid4()),
        },
        fields=dict(_texts(fields)),
        files=files,
    )
    reply = yield from call(wanted, patience_s)
    return JobDocument.model_validate_json(reply.content)


def wait(job: JobDocument, *, on_progress: OnProgress, patience_s: float) -> Flow[JobDocument]:
    """Until the job has ended. Raises what it failed with, or JobCanceled."""
    pause_s = _FIRST_PAUSE_S
    while True:
        on_progress(job)
        if job.error is not None:
            raise _error(job.error.code, job.error.detail)
        if job.status == "canceled":
            raise JobCanceled(f"Job {job.id} was canceled.")
        if job.status == "succeeded":
            return job
        yield Pause(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
        job = yield from get_job(job.id, patience_s)


def get_job(job_id: str, patience_s: float) -> Flow[JobDocument]:
    reply = yield from call(Call("GET", f"/jobs/{job_id}"), patience_s)
    return JobDocument.model_validate_json(reply.content)


def cancel(job_id: str, patience_s: float) -> Flow[None]:
    """Cancel a job that has not ended; remove the tiles of one that has."""
    yield from call(Call("DELETE", f"/jobs/{job_id}"), patience_s)


def tiles(job: JobDocument, patience_s: float) -> Flow[list[Tile]]:
    """The tiles that are stored so far."""
    found = []
    for output in job.outputs:
        assert output.seed is not None  # a tile has one
        reply = yield from call(Call("GET", output.href), patience_s)
        manifest = yield from call(Call("GET", output.manifest), patience_s)
        found.append(
            Tile(
                reply.content,
                reply.headers["content-type"],
                output.seed,
                output.sha256,
                json.loads(manifest.content),
            )
        )
    return found


def get_styles(patience_s: float) -> Flow[StylesDocument]:
    reply = yield from call(Call("GET", "/styles"), patience_s)
    return StylesDocument.model_validate_json(reply.content)


def get_style(name: str, patience_s: float) -> Flow[StyleDocument]:
    reply = yield from call(Call("GET", _style_path(name)), patience_s)
    return StyleDocument.model_validate_json(reply.content)


def delete_style(name: str, patience_s: float) -> Flow[None]:
    """Delete a custom style."""
    yield from call(Call("DELETE", _style_path(name)), patience_s)


def get_model(patience_s: float) -> Flow[ModelCard]:
    reply = yield from call(Call("GET", "/model"), patience_s)
    return ModelCard.model_validate_json(reply.content)


def draw_mask(wish: Mapping[str, object], format: MaskFormat, patience_s: float) -> Flow[MaskFile]:
    """POST /masks. wish: what is not None of it is sent."""
    body = {name: value for name, value in wish.items() if value is not None}
    reply = yield from call(Call("POST", "/masks", body={**body, "format": format}), patience_s)
    return MaskFile(reply.content, format, int(reply.headers["x-seed"]))


def convert_mask(
    mask: Mask, format: MaskFormat, fields: Mapping[str, object], patience_s: float
) -> Flow[MaskFile]:
    """POST /masks/convert. fields: as in ``submit``."""
    wanted = Call(
        "POST",
        "/masks/convert",
        fields={**dict(_texts(fields)), "format": format},
        files=[("mask", mask_bytes(mask))],
    )
    reply = yield from call(wanted, patience_s)
    return MaskFile(reply.content, format)


def mask_bytes(mask: Mask) -> bytes:
    """A file of it. Raises what ``write_mask`` raises of an array that is no instance mask."""
    return write_mask(mask, "tiff") if isinstance(mask, np.ndarray) else _bytes(mask)


def _style_path(name: str) -> str:
    return f"/styles/{quote(name, safe='')}"


def _bytes(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _texts(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, bool | Mapping | list | tuple):
            yield name, json.dumps(value)
        elif value is not None:
            yield name, str(value)


def _retry_after_s(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _error_of(reply: Reply) -> SianError:
    try:
        problem = json.loads(reply.content)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"The service answered {reply.status}, which is not its own answer.")
    if code == RequestInFlight.code:
        return RequestInFlight(detail, job_id=str(problem.get("job", "")).rpartition("/")[2])
    return _error(code, detail, retry_after_s=max(1, round(_retry_after_s(reply))))


def _error(code: str, detail: str, *, retry_after_s: int = 1) -> SianError:
    kind = _CLASSES.get(code, ServiceError)
    if issubclass(kind, TryAgainLater):
        return kind(detail, retry_after_s=retry_after_s)
    return kind(detail)
