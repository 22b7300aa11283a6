"""The outputs of jobs as answers: whole or in part, and never much of a large tile in memory."""

from collections.abc import Mapping

from fastapi.responses import Response, StreamingResponse

from app.service import Service
from model.errors import OutputUnknown
from worker.custom_styles import SUFFIX as STYLE_SUFFIX
from worker.dataset.stored import SUFFIX as ZIP_SUFFIX
from worker.jobs import Job, Output, expired

PNG, TIFF = "image/png", "image/tiff"
JSON, ZIP = "application/json", "application/zip"
_MEDIA_TYPES = {".png": PNG, ".tif": TIFF, STYLE_SUFFIX: JSON, ZIP_SUFFIX: ZIP}


def output_of(job: Job, index: int) -> Output:
    """Raises OutputUnknown."""
    if not 0 <= index < len(job.outputs):
        raise OutputUnknown(
            f"Job {job.id!r} has no output {index}: it asks for {job.request.n}, and "
            f"{len(job.outputs)} are stored so far (it is {job.state})."
        )
    return job.outputs[index]


def file_of(service: Service, job: Job, name: str) -> bytes:
    """A file of a job. Raises JobExpired, StorageUnavailable."""
    try:
        return service.artifacts.get(job.id, name)
    except FileNotFoundError:
        # Expired between the record's reading and the file's.
        raise expired(job.id) from None


class StoredTile:
    """An output that is stored. size: of its file, in bytes.

    Raises:
        OutputUnknown, JobExpired, StorageUnavailable
    """

    def __init__(self, service: Service, job: Job, index: int) -> None:
        output = output_of(job, index)
        self._artifacts, self._scope = service.artifacts, job.id
        self._name = f"{index}{output.suffix}"
        self._media_type = _MEDIA_TYPES[output.suffix]
        self._headers = {
            "ETag": f'"{output.sha256}"',
            "Accept-Ranges": "bytes",
        }
        if output.seed is not None:
            self._headers["X-Seed"] = str(output.seed)
        self._data: bytes | None = None
        if self._media_type != TIFF:
            self._data = file_of(service, job, self._name)
            self.size = len(self._data)
        else:
            try:
                self.size = service.artifacts.size(job.id, self._name)
            except FileNotFoundError:
                raise expired(job.id) from None

    def whole(self, headers: Mapping[str, str] | None = None, *, has_body: bool = True) -> Response:
        """All of it. has_body: not for HEAD, which would read it for nothing."""
        return self._answer(slice(0, self.size), 200, headers or {}, has_body=has_body)

    def part(self, part: slice, headers: Mapping[str, str]) -> Response:
        """206 Partial Content."""
        said = {"Content-Range": f"bytes {part.start}-{part.stop - 1}/{self.size}"}
        return self._answer(part, 206, {**headers, **said}, has_body=True)

    def _answer(
        self, part: slice, status: int, headers: Mapping[str, str], *, has_body: bool
    ) -> Response:
        every = {**self._headers, **headers}
        if self._data is not None:
            return Response(self._data[part], status, every, self._media_type)
        every["Content-Length"] = str(part.stop - part.start)
        if not has_body:
            return Response(None, status, every, self._media_type)
        pieces = self._artifacts.pieces(self._scope, self._name, part)
        return StreamingResponse(pieces, status, every, self._media_type)
