"""How errors reach the caller: the one table, and RFC 9457 responses."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app import field_errors
from app.schemas import Problem
from model import errors
from model.errors import (
    KeyInvalid,
    MaskMissing,
    ParameterInvalid,
    RequestInFlight,
    SianError,
    StyleMissing,
    TryAgainLater,
)

MEDIA_TYPE = "application/problem+json"


class Exit(IntEnum):
    """Exit codes of the command line, as in sysexits.h; and what a shell says of Ctrl-C."""

    USAGE = 64
    DATA = 65
    NO_INPUT = 66
    SOFTWARE = 70
    UNWRITABLE = 73
    TEMPORARY = 75
    NO_PERMISSION = 77
    CONFIGURATION = 78
    STOPPED = 130


class Outcome(NamedTuple):
    status: int
    exit_code: Exit


OUTCOMES: dict[type[SianError], Outcome] = {
    errors.SianError: Outcome(500, Exit.SOFTWARE),
    errors.InvalidInput: Outcome(422, Exit.DATA),
    errors.ParameterInvalid: Outcome(422, Exit.USAGE),
    errors.UploadTooLarge: Outcome(413, Exit.DATA),
    errors.IdempotencyMismatch: Outcome(422, Exit.USAGE),
    errors.MaskError: Outcome(422, Exit.DATA),
    errors.MaskMissing: Outcome(422, Exit.NO_INPUT),
    errors.MaskEmptyFile: Outcome(422, Exit.DATA),
    errors.MaskUnreadable: Outcome(422, Exit.DATA),
    errors.MaskTooLarge: Outcome(413, Exit.DATA),
    errors.MaskTooSmall: Outcome(422, Exit.DATA),
    errors.MaskBinary: Outcome(422, Exit.DATA),
    errors.MaskColour: Outcome(422, Exit.DATA),
    errors.MaskFloat: Outcome(422, Exit.DATA),
    errors.MaskNegative: Outcome(422, Exit.DATA),
    errors.MaskIdTooLarge: Outcome(422, Exit.DATA),
    errors.MaskShape: Outcome(422, Exit.DATA),
    errors.MaskUnwritable: Outcome(422, Exit.DATA),
    errors.StyleError: Outcome(422, Exit.DATA),
    errors.StyleMissing: Outcome(422, Exit.NO_INPUT),
    errors.StyleConflict: Outcome(422, Exit.USAGE),
    errors.StyleUnknown: Outcome(422, Exit.USAGE),
    errors.StyleUnreadable: Outcome(422, Exit.DATA),
    errors.StyleTooSmall: Outcome(422, Exit.DATA),
    errors.StyleTooLarge: Outcome(413, Exit.DATA),
    errors.StyleWeightsInvalid: Outcome(422, Exit.USAGE),
    errors.StyleNameInvalid: Outcome(422, Exit.USAGE),
    errors.ServiceError: Outcome(500, Exit.SOFTWARE),
    errors.JobUnknown: Outcome(404, Exit.DATA),
    errors.JobExpired: Outcome(410, Exit.DATA),
    errors.JobKindUnknown: Outcome(500, Exit.SOFTWARE),
    errors.OutputUnknown: Outcome(404, Exit.DATA),
    errors.JobCanceled: Outcome(409, Exit.DATA),
    errors.CheckpointChanged: Outcome(409, Exit.DATA),
    errors.DatasetUnfinished: Outcome(409, Exit.TEMPORARY),
    errors.NotAcceptable: Outcome(406, Exit.USAGE),
    errors.KeyInvalid: Outcome(401, Exit.NO_PERMISSION),
    errors.RequestInFlight: Outcome(409, Exit.TEMPORARY),
    errors.StyleNameTaken: Outcome(409, Exit.DATA),
    errors.StyleIsPreset: Outcome(409, Exit.USAGE),
    errors.StyleOutdated: Outcome(409, Exit.DATA),
    errors.StylesFull: Outcome(409, Exit.DATA),
    errors.TryAgainLater: Outcome(503, Exit.TEMPORARY),
    errors.QueueFull: Outcome(429, Exit.TEMPORARY),
    errors.RateLimited: Outcome(429, Exit.TEMPORARY),
    errors.StoreUnavailable: Outcome(503, Exit.TEMPORARY),
    errors.StorageUnavailable: Outcome(503, Exit.TEMPORARY),
    errors.DeadlineExceeded: Outcome(504, Exit.TEMPORARY),
    errors.OutOfMemory: Outcome(503, Exit.TEMPORARY),
    errors.WorkerLost: Outcome(500, Exit.SOFTWARE),
    errors.WorkerStalled: Outcome(500, Exit.SOFTWARE),
    errors.SynthesisFailed: Outcome(500, Exit.SOFTWARE),
    errors.CheckpointError: Outcome(500, Exit.CONFIGURATION),
    errors.CheckpointMissing: Outcome(500, Exit.CONFIGURATION),
    errors.CheckpointTruncated: Outcome(500, Exit.CONFIGURATION),
    errors.CheckpointVersion: Outcome(500, Exit.CONFIGURATION),
    errors.CheckpointHash: Outcome(500, Exit.CONFIGURATION),
    errors.CheckpointMismatch: Outcome(500, Exit.CONFIGURATION),
    errors.SettingsInvalid: Outcome(500, Exit.CONFIGURATION),
    errors.FileUnwritable: Outcome(500, Exit.UNWRITABLE),
    errors.TrainingError: Outcome(500, Exit.SOFTWARE),
    errors.DataInvalid: Outcome(500, Exit.DATA),
    errors.WeightsMissing: Outcome(500, Exit.NO_INPUT),
    errors.NonFiniteLoss: Outcome(500, Exit.SOFTWARE),
    errors.ResumeMismatch: Outcome(500, Exit.USAGE),
    errors.RunBusy: Outcome(500, Exit.TEMPORARY),
    errors.RunUnfinished: Outcome(500, Exit.TEMPORARY),
    errors.RunStopped: Outcome(500, Exit.STOPPED),
}
"""Every class of ``model.errors``: what it is over HTTP and on the command line."""

HTTP_CODES: dict[int, str] = {
    400: "request_malformed",
    404: "not_found",
    405: "method_not_allowed",
    413: "upload_too_large",
    415: "media_type_unsupported",
    416: "range_not_satisfiable",
    500: "internal_error",
    503: "not_ready",
}
"""Codes of what can go wrong in HTTP itself, where there is no exception of ours."""

_STATUS_BY_CODE = {error.code: outcome.status for error, outcome in OUTCOMES.items()}


def status_of(code: str) -> int:
    """HTTP status of an error code, as recorded with a failed job."""
    return _STATUS_BY_CODE.get(code, 500)


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    job: str | None = None,
) -> JSONResponse:
    """A problem+json response. ``job`` links the job it is about, if there is one."""
    # JSON may escape half a surrogate pair, which a detail may quote and UTF-8 cannot carry.
    detail = detail.encode("utf-8", "backslashreplace").decode()
    body = Problem(
        type=f"urn:sian:error:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        instance=request.url.path,
        request_id=request.scope.get("state", {}).get("request_id"),
        job=job,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), status, headers=headers, media_type=MEDIA_TYPE
    )


async def on_sian_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for the tree of ``model.errors``."""
    assert isinstance(error, SianError)
    headers, job = {}, None
    if isinstance(error, TryAgainLater):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, KeyInvalid):
        headers["WWW-Authenticate"] = 'Bearer realm="sian"'
    if isinstance(error, RequestInFlight):
        job = request.url_for("get_job", job_id=error.job_id).path
        headers |= {"Location": job, "Retry-After": "1"}
    status = OUTCOMES[type(error)].status
    return problem(request, status, error.code, str(error), headers=headers, job=job)


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for what Starlette and FastAPI raise: routing, malformed bodies."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, SianError):
        # FastAPI wraps what is raised while the body is read; the cause is what happened.
        return await on_sian_error(request, error.__cause__)
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        detail = f"There is nothing at {request.url.path}; /docs lists what there is."
    if error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}; /docs lists what is."
    code = HTTP_CODES.get(error.status_code, "http_error")
    return problem(request, error.status_code, code, detail, headers=error.headers)


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for parameters of the wrong type or out of range."""
    assert isinstance(error, RequestValidationError)
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    wanted = _media_type_of_body(request)
    if wanted is not None and sent != wanted:
        detail = f"The body is {sent or 'no content type'}; send {_BODIES[wanted]}."
        return problem(request, 415, HTTP_CODES[415], detail)
    if any(entry["type"] == "json_invalid" for entry in error.errors()):
        return problem(request, 400, HTTP_CODES[400], "The body is not JSON.")
    by_field: dict[str, Mapping[str, Any]] = {}
    for entry in error.errors():
        # loc is (where, field, ...); of a field that may be of several types the first counts.
        by_field.setdefault(str([*entry["loc"], "body"][1]), entry)
    if "mask" in by_field:
        what = "is missing" if by_field["mask"]["type"] == "missing" else "was sent as text"
        return await on_sian_error(
            request,
            MaskMissing(f"The mask {what}: send it as a file in the multipart field 'mask'."),
        )
    if "style" in by_field and by_field["style"]["type"] == "missing":
        return await on_sian_error(
            request,
            StyleMissing(
                "The style image is missing: send it as a file in the multipart field 'style'."
            ),
        )
    if "style" in by_field:
        reason = (
            "style: must be a file, was sent as text. Names of presets and custom styles go into "
            "the field 'organ' of POST /synthesize, weights of such names into 'styles'."
        )
    else:
        said = (field_errors.reason(name, entry) for name, entry in by_field.items())
        reason = f"{'; '.join(said)}."
    return await on_sian_error(request, ParameterInvalid(reason))


_BODIES = {
    "multipart/form-data": "multipart/form-data, with each image as a file",
    "application/json": "application/json",
}


def _media_type_of_body(request: Request) -> str | None:
    """Of the body that the route takes; None if it takes none."""
    body = getattr(request.scope.get("route"), "body_field", None)
    return None if body is None else str(body.field_info.media_type)


def documented(*kinds: type[SianError] | int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` argument of a route that may answer with these errors.

    kinds: classes of ``model.errors``, or statuses of ``HTTP_CODES``.
    """
    codes: dict[int, list[str]] = {}
    for kind in kinds:
        if isinstance(kind, int):
            codes.setdefault(kind, []).append(HTTP_CODES[kind])
        else:
            codes.setdefault(OUTCOMES[kind].status, []).append(kind.code)
    return {status: _documented_response(status, names) for status, names in codes.items()}


def _documented_response(status: int, codes: Iterable[str]) -> dict[str, Any]:
    schema = Problem.model_json_schema()
    names = sorted(set(codes))
    schema["properties"]["code"] = {**schema["properties"]["code"], "enum": names}
    example = {
        "type": f"urn:sian:error:{names[0]}",
        "title": names[0].replace("_", " ").capitalize(),
        "status": status,
        "detail": "One sentence on what was wrong and what to do about it.",
        "code": names[0],
    }
    response: dict[str, Any] = {
        "description": ", ".join(names),
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }
    if status in _HEADERS:
        response["headers"] = _HEADERS[status]
    return response


_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which it may work.",
        "schema": {"type": "integer"},
    }
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {
        "WWW-Authenticate": {
            "description": "How to send a key.",
            "schema": {"type": "string"},
        }
    },
    409: {
        "Location": {
            "description": "The job of a request that is in flight.",
            "schema": {"type": "string"},
        },
        **_RETRY_AFTER,
    },
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
