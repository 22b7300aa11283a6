"""Runs the flows of a client over HTTP, with and without asyncio."""

import asyncio
import re
import time
from contextlib import closing
from types import TracebackType
from typing import Any, Self

import anyio

try:
    import httpx2 as httpx
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "The client needs httpx2, which is not installed. In the checkout of SIAN run "
        "pip install --constraint constraints.txt '.[client]'."
    ) from None

from app.client_calls import Call, Flow, Pause, Reply, Result, Unreachable
from model.errors import ParameterInvalid

_TIMEOUT_S = 60.0
_PIECE_BYTES = 1 << 18


class Connection:
    """Blocks until a flow is done. Arguments are those of ``app.client.Client``."""

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

    def _run(self, flow: Flow[Result]) -> Result:
        with closing(flow):  # whatever happens, it tidies up now
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Pause):
                        time.sleep(step.seconds)
                        step = next(flow)
                        continue
                    try:
                        reply = self._answer(step)
                    except httpx.TransportError as error:
                        step = flow.throw(_unreachable(error))
                    else:
                        step = flow.send(reply)
            except StopIteration as end:
                result: Result = end.value
                return result

    def _answer(self, call: Call) -> Reply:
        with self._http.stream(**_request(call)) as response:
            if call.into is None or not response.is_success:
                return Reply(response.status_code, response.headers, response.read())
            with call.into.open("wb") as file:
                for piece in response.iter_bytes(_PIECE_BYTES):
                    file.write(piece)
            return Reply(response.status_code, response.headers, b"")


class AsyncConnection:
    """The same with ``await``."""

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

    async def _run(self, flow: Flow[Result]) -> Result:
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Pause):
                        await asyncio.sleep(step.seconds)
                        step = next(flow)
                        continue
                    try:
                        reply = await self._answer(step)
                    except httpx.TransportError as error:
                        step = flow.throw(_unreachable(error))
                    else:
                        step = flow.send(reply)
            except StopIteration as end:
                result: Result = end.value
                return result

    async def _answer(self, call: Call) -> Reply:
        async with self._http.stream(**_request(call)) as response:
            if call.into is None or not response.is_success:
                return Reply(response.status_code, response.headers, await response.aread())
            async with await anyio.open_file(call.into, "wb") as file:
                async for piece in response.aiter_bytes(_PIECE_BYTES):
                    await file.write(piece)
            return Reply(response.status_code, response.headers, b"")


def _options(address: str, api_key: str | None) -> dict[str, Any]:
    """Raises ParameterInvalid of what no request can be made with; the key is not repeated."""
    if not address.lower().startswith(("http://", "https://")):
        raise ParameterInvalid(
            f"The address {address!r} does not begin with http:// or https://. Give it as in "
            "http://127.0.0.1:8000."
        )
    if api_key is not None and re.fullmatch(r"[!-~]+", api_key) is None:
        raise ParameterInvalid(
            "The API key holds something that no key has, such as a space or the end of a line. "
            "Strip it."
        )
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


def _unreachable(error: httpx.TransportError) -> Unreachable:
    return Unreachable(str(error) or type(error).__name__)
