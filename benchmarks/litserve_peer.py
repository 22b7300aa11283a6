"""LitServe serving the released checkpoint, with its batching on: the peer of service.py.

    python -m benchmarks.litserve_peer PORT THREADS MAX_BATCH MAX_WAIT_S

Takes JSON with a base64 mask, an organ and a seed; answers with a PNG like that of the service.
"""

import base64
import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi.responses import Response

from benchmarks.serve import ROOT
from worker import synthesis
from worker.request import SynthesisRequest, sha256
from worker.style import Style
from worker.work import Work, work_on

CHECKPOINT = ROOT / "checkpoints" / "sian-release.safetensors"


class TileAPI(litserve.LitAPI):  # type: ignore[misc]
    """Decoding, layout maps and PNG are LitServe's steps before and after the network."""

    def __init__(self, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._threads = threads

    def setup(self, device: str) -> None:
        self._synthesizer = synthesis.load(
            Path(CHECKPOINT), device="cpu", threads=self._threads, max_batch=self.max_batch_size
        )

    def decode_request(self, request: dict[str, Any]) -> tuple[Work, Any]:
        mask = base64.b64decode(request["mask"])
        style = Style(name=request["organ"])
        work = work_on(
            self._synthesizer,
            SynthesisRequest(mask_sha256=sha256(mask), style=style, seed=request["seed"]),
            mask,
        )
        return work, work.pass_input(0)

    def batch(self, inputs: list[tuple[Work, Any]]) -> list[tuple[Work, Any]]:
        return inputs

    def predict(self, batch: list[tuple[Work, Any]]) -> list[tuple[Work, Any]]:
        images = self._synthesizer.paint([tile for _, tile in batch])
        return [(work, image) for (work, _), image in zip(batch, images, strict=True)]

    def unbatch(self, output: list[tuple[Work, Any]]) -> list[tuple[Work, Any]]:
        return output

    def encode_response(self, output: tuple[Work, Any]) -> Response:
        work, image = output
        tile = work.take(0, image)
        assert tile is not None
        return Response(tile.data, media_type="image/png")


if __name__ == "__main__":
    port, threads, max_batch, max_wait_s = sys.argv[1:]
    api = TileAPI(int(threads), max_batch_size=int(max_batch), batch_timeout=float(max_wait_s))
    litserve.LitServer(api, accelerator="cpu", timeout=600).run(
        port=int(port), generate_client_file=False, log_level="warning"
    )
