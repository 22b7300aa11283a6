"""A client of the service, with and without asyncio.

>>> with Client("http://localhost:8000") as sian:
...     (tile,) = sian.synthesize(Path("mask.png"), organ="kidney", seed=7)
...     Path("tile.png").write_bytes(tile.data)

Names and meanings are those of the HTTP API. What goes wrong is raised as the class of
``model.errors`` with the code that the service gives. Calls are sent again while the service is
busy or cannot be reached, for ``patience_s``; what is sent twice is done once.

Needs the extra ``client``.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2 as httpx

from app import client_flows as flows
from app.client_flows import (
    Call,
    Flow,
    Image,
    Images,
    Mask,
    MaskFile,
    MaskReading,
    MaskWish,
    OnProgress,
    Options,
    Pause,
    Reply,
    Tile,
)
from app.schemas import JobDocument, ModelCard, StyleDocument, StylesDocument
from model.formats import MaskFormat

__all__ = ["AsyncClient", "Client", "MaskFile", "Tile"]

_TIMEOUT_S = 60.0

Result = TypeVar("Result")


def _ignore(job: JobDocument) -> None:
    """Nobody wants to hear of progress."""


def _options(address: str, api_key: str | None) -> dict[str, Any]:
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    return {"base_url": address, "headers": headers, "timeout": _TIMEOUT_S}


def _request(call: Call) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "headers": dict(call.headers),
        "data": call.fields,
        "files": call.files,
        "json": call.body,
    }


def _reply(response: httpx.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)


class _Operations:
    """The operations as flows, for one who runs them.

    Args of them all: as the fields of the HTTP API; None is not sent.
    """

    _patience_s: float

    def _submit(
        self,
        mask: Mask,
        style: Images | None,
        weights: Sequence[float] | None,
        organ: str | None,
        styles: Mapping[str, float] | None,
        options: Options,
    ) -> Flow[JobDocument]:
        of_images = None if weights is None else list(weights)
        fields = {"weights": of_images, "organ": organ, "styles": styles, **options}
        return flows.submit(mask, style=style, fields=fields, patience_s=self._patience_s)

    def _synthesize(
        self,
        mask: Mask,
        style: Images | None,
        weights: Sequence[float] | None,
        organ: str | None,
        styles: Mapping[str, float] | None,
        on_progress: OnProgress,
        options: Options,
    ) -> Flow[list[Tile]]:
        job = yield from self._submit(mask, style, weights, organ, styles, options)
        job = yield from flows.wait(job, on_progress=on_progress, patience_s=self._patience_s)
        found = yield from flows.tiles(job, self._patience_s)
        return found


class Client(_Operations):
    """Blocks until each operation is done.

    Args:
        address: of the service.
        api_key: where it needs one.
        patience_s: for how long calls are sent again.
        http: another HTTP client to use; it is not closed.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        patience_s: float = 120.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._patience_s = patience_s
        self._http = http or httpx.Client(**_options(address, api_key))
        self._is_ours = http is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._is_ours:
            self._http.close()

    def synthesize(
        self,
        mask: Mask,
        *,
        style: Images | None = None,
        weights: Sequence[float] | None = None,
        organ: str | None = None,
        styles: Mapping[str, float] | None = None,
        on_progress: OnProgress = _ignore,
        **options: Unpack[Options],
    ) -> list[Tile]:
        """Tiles of a mask, once they are done.

        Args:
            style: an image, or up to eight that are mixed by ``weights``.
            on_progress: called with the job whenever it was looked at.

        Raises SianError.
        """
        return self._run(
            self._synthesize(mask, style, weights, organ, styles, on_progress, options)
        )

    def submit(
        self,
        mask: Mask,
        *,
        style: Images | None = None,
        weights: Sequence[float] | None = None,
        organ: str | None = None,
        styles: Mapping[str, float] | None = None,
        **options: Unpack[Options],
    ) -> JobDocument:
        """As ``synthesize``, without waiting for the tiles."""
        return self._run(self._submit(mask, style, weights, organ, styles, options))

    def wait(self, job: JobDocument, *, on_progress: OnProgress = _ignore) -> JobDocument:
        """The job once it has succeeded. Raises what it failed with, or JobCanceled."""
        return self._run(flows.wait(job, on_progress=on_progress, patience_s=self._patience_s))

    def job(self, job_id: str) -> JobDocument:
        return self._run(flows.get_job(job_id, self._patience_s))

    def tiles(self, job: JobDocument) -> list[Tile]:
        """Those that are stored so far."""
        return self._run(flows.tiles(job, self._patience_s))

    def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended; remove the tiles of one that has."""
        self._run(flows.cancel(job_id, self._patience_s))

    def styles(self) -> StylesDocument:
        return self._run(flows.get_styles(self._patience_s))

    def style(self, name: str) -> StyleDocument:
        """A preset or a custom style."""
        return self._run(flows.get_style(name, self._patience_s))

    def keep_style(self, image: Image, name: str, *, mpp: float | None = None) -> StyleDocument:
        """Have a reference image encoded and kept under a name, to be used as ``organ`` and in
        ``styles``. Raises StyleNameTaken if another image has it."""
        return self._run(flows.keep_style(image, {"name": name, "mpp": mpp}, self._patience_s))

    def delete_style(self, name: str) -> None:
        """Delete a custom style."""
        self._run(flows.delete_style(name, self._patience_s))

    def model(self) -> ModelCard:
        return self._run(flows.get_model(self._patience_s))

    def draw_mask(self, *, format: MaskFormat = "png", **wish: Unpack[MaskWish]) -> MaskFile:
        """A random mask."""
        return self._run(flows.draw_mask(wish, format, self._patience_s))

    def convert_mask(
        self, mask: Mask, format: MaskFormat, **fields: Unpack[MaskReading]
    ) -> MaskFile:
        """A mask in another format."""
        return self._run(flows.convert_mask(mask, format, fields, self._patience_s))

    def _run(self, flow: Flow[Result]) -> Result:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = next(flow)
                    continue
                try:
                    response = self._http.request(**_request(step))
                except httpx.TransportError as error:
                    step = flow.throw(flows.Unreachable(str(error) or type(error).__name__))
                else:
                    step = flow.send(_reply(response))
        except StopIteration as end:
            result: Result = end.value
            return result


class AsyncClient(_Operations):
    """The same with ``await``; see ``Client`` for what the operations do."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        patience_s: float = 120.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._patience_s = patience_s
        self._http = http or httpx.AsyncClient(**_options(address, api_key))
        self._is_ours = http is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._is_ours:
            await self._http.aclose()

    async def synthesize(
        self,
        mask: Mask,
        *,
        style: Images | None = None,
        weights: Sequence[float] | None = None,
        organ: str | None = None,
        styles: Mapping[str, float] | None = None,
        on_progress: OnProgress = _ignore,
        **options: Unpack[Options],
    ) -> list[Tile]:
        return await self._run(
            self._synthesize(mask, style, weights, organ, styles, on_progress, options)
        )

    async def submit(
        self,
        mask: Mask,
        *,
        style: Images | None = None,
        weights: Sequence[float] | None = None,
        organ: str | None = None,
        styles: Mapping[str, float] | None = None,
        **options: Unpack[Options],
    ) -> JobDocument:
        return await self._run(self._submit(mask, style, weights, organ, styles, options))

    async def wait(self, job: JobDocument, *, on_progress: OnProgress = _ignore) -> JobDocument:
        flow = flows.wait(job, on_progress=on_progress, patience_s=self._patience_s)
        return await self._run(flow)

    async def job(self, job_id: str) -> JobDocument:
        return await self._run(flows.get_job(job_id, self._patience_s))

    async def tiles(self, job: JobDocument) -> list[Tile]:
        return await self._run(flows.tiles(job, self._patience_s))

    async def cancel(self, job_id: str) -> None:
        await self._run(flows.cancel(job_id, self._patience_s))

    async def styles(self) -> StylesDocument:
        return await self._run(flows.get_styles(self._patience_s))

    async def style(self, name: str) -> StyleDocument:
        return await self._run(flows.get_style(name, self._patience_s))

    async def keep_style(
        self, image: Image, name: str, *, mpp: float | None = None
    ) -> StyleDocument:
        return await self._run(
            flows.keep_style(image, {"name": name, "mpp": mpp}, self._patience_s)
        )

    async def delete_style(self, name: str) -> None:
        await self._run(flows.delete_style(name, self._patience_s))

    async def model(self) -> ModelCard:
        return await self._run(flows.get_model(self._patience_s))

    async def draw_mask(self, *, format: MaskFormat = "png", **wish: Unpack[MaskWish]) -> MaskFile:
        return await self._run(flows.draw_mask(wish, format, self._patience_s))

    async def convert_mask(
        self, mask: Mask, format: MaskFormat, **fields: Unpack[MaskReading]
    ) -> MaskFile:
        return await self._run(flows.convert_mask(mask, format, fields, self._patience_s))

    async def _run(self, flow: Flow[Result]) -> Result:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(flow)
                    continue
                try:
                    response = await self._http.request(**_request(step))
                except httpx.TransportError as error:
                    step = flow.throw(flows.Unreachable(str(error) or type(error).__name__))
                else:
                    step = flow.send(_reply(response))
        except StopIteration as end:
            result: Result = end.value
            return result
