"""What a client says to the service and makes of its answers, without a connection: tiles, jobs,
styles and masks."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.client_calls import FIRST_PAUSE_S, LONGEST_PAUSE_S, Call, Flow, Pause, call, error_named
from app.schemas import (
    ONLY_CANCEL,
    DatasetDocument,
    JobDocument,
    ModelCard,
    StyleDocument,
    StylesDocument,
)
from model.errors import JobCanceled
from model.formats import MaskFormat, write_mask

Mask = bytes | Path | NDArray[Any]
"""A file's content, a file, or the ids (H, W) themselves."""
Image = bytes | Path
Images = Image | Sequence[Image]
"""A reference image, or several that are mixed."""
OnProgress = Callable[[JobDocument], None]
Work = TypeVar("Work", JobDocument, DatasetDocument)


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


def ignore(document: JobDocument | DatasetDocument) -> None:
    """For ``on_progress``: nobody wants to hear of it."""


def tile_fields(
    weights: Sequence[float] | None,
    organ: str | None,
    styles: Mapping[str, float] | None,
    options: Options,
) -> dict[str, object]:
    """Those of POST /synthesize that are no files."""
    of_images = None if weights is None else list(weights)
    return {"weights": of_images, "organ": organ, "styles": styles, **options}


def synthesize(
    mask: Mask,
    *,
    style: Images | None,
    fields: Mapping[str, object],
    on_progress: OnProgress,
    patience_s: float,
) -> Flow[list[Tile]]:
    """POST /synthesize until the tiles are made; and these. fields: as in ``submit``."""
    job = yield from submit(mask, style=style, fields=fields, patience_s=patience_s)
    job = yield from wait(job, on_progress=on_progress, patience_s=patience_s)
    found = yield from tiles(job, patience_s)
    return found


def submit(
    mask: Mask,
    *,
    style: Images | None,
    fields: Mapping[str, object],
    patience_s: float,
) -> Flow[JobDocument]:
    """POST /synthesize, not waiting for the tiles. fields: those that are not None are sent."""
    images = [] if style is None else [style] if isinstance(style, bytes | Path | str) else style
    files = [("mask", mask_bytes(mask)), *(("style", _bytes(image)) for image in images)]
    job = yield from _submit("/synthesize", files, fields, patience_s)
    return job


def keep_style(
    image: Image, fields: Mapping[str, object], patience_s: float
) -> Flow[StyleDocument]:
    """POST /styles until it is kept. fields: as in ``submit``, the name among them."""
    job = yield from _submit("/styles", [("style", _bytes(image))], fields, patience_s)
    job = yield from wait(job, on_progress=ignore, patience_s=patience_s)
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
    """Until the job has succeeded. Raises what it failed with, or JobCanceled."""

    def look() -> Flow[JobDocument]:
        return get_job(job.id, patience_s)

    return until_made(job, look, on_progress=on_progress, named="Job")


def until_made(
    work: Work,
    look: Callable[[], Flow[Work]],
    *,
    on_progress: Callable[[Work], None],
    named: str,
) -> Flow[Work]:
    """Look at it, and tell of it, until it has succeeded. Raises what it failed with, or
    JobCanceled, whose message begins with what the work is ``named``."""
    pause_s = FIRST_PAUSE_S
    while True:
        on_progress(work)
        if work.error is not None:
            raise error_named(work.error.code, work.error.detail)
        if work.status == "canceled":
            raise JobCanceled(f"{named} {work.id} was canceled.")
        if work.status == "succeeded":
            return work
        yield Pause(pause_s)
        pause_s = min(1.5 * pause_s, LONGEST_PAUSE_S)
        work = yield from look()


def get_job(job_id: str, patience_s: float) -> Flow[JobDocument]:
    reply = yield from call(Call("GET", f"/jobs/{job_id}"), patience_s)
    return JobDocument.model_validate_json(reply.content)


def cancel(job_id: str, patience_s: float) -> Flow[None]:
    """Cancel a job; one that has ended stays as it is."""
    yield from call(Call("DELETE", f"/jobs/{job_id}{ONLY_CANCEL}"), patience_s)


def delete_job(job_id: str, patience_s: float) -> Flow[None]:
    """Remove a job that has ended, with its tiles; cancel one that has not.

    A plain DELETE does either. Sent again after a lost answer it would remove what it has just
    canceled.
    """
    job = yield from get_job(job_id, patience_s)
    if job.links.cancel is not None:
        yield from cancel(job_id, patience_s)
        return
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


def _bytes(content: object) -> bytes:
    if isinstance(content, Path):
        return content.read_bytes()
    if isinstance(content, bytes):
        return content
    raise TypeError(
        f"{content!r:.80} is {type(content).__name__}. Give a file as pathlib.Path, or what it "
        "holds as bytes."
    )


def _texts(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, bool | Mapping | list | tuple):
            yield name, json.dumps(value)
        elif value is not None:
            yield name, str(value)
