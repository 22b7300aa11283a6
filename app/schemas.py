"""What goes over the wire, for validation and for the OpenAPI document."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

ONLY_CANCEL = "?only=cancel"
"""Ends a path to DELETE that removes nothing, however late the request comes."""

_ID = "3f0c9a7e5d1b4c86a2f4d8e19b7c6a50"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Problem(BaseModel):
    """An error, as in RFC 9457."""

    type: str = Field(description="`urn:sian:error:` and the code.")
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status again.")
    detail: str = Field(description="What was wrong and what to do about it.")
    code: str = Field(description="Stable name of the error; programs should look at this.")
    instance: str | None = Field(None, description="Path of the request.")
    request_id: str | None = Field(None, description="As in `X-Request-ID` and in the log.")
    job: str | None = Field(None, description="Link to the job it is about, if there is one.")


class Progress(BaseModel):
    done: int = Field(description="Outputs that are stored, or windows painted.", examples=[1])
    total: int = Field(description="Outputs that were asked for, or windows in all.", examples=[4])
    unit: str = Field(
        description="`tiles`, or `styles`; or `windows` while a tile of a mask above 1024 px a "
        "side is painted part by part.",
        json_schema_extra={"enum": ["tiles", "styles", "windows", "outputs"]},
        examples=["tiles"],
    )


class JobError(BaseModel):
    code: str = Field(
        description="As in problem+json; `checkpoint_changed` only here.",
        examples=["synthesis_failed", "checkpoint_changed"],
    )
    detail: str = Field(description="What was wrong and what to do about it.")


class JobLinks(BaseModel):
    self: str = Field(description="This job.", examples=[f"/jobs/{_ID}"])
    events: str = Field(
        description="Server-sent events: this document whenever it changes.",
        examples=[f"/jobs/{_ID}/events"],
    )
    cancel: str | None = Field(
        description="DELETE this to cancel the job; a job that is faster stays. Null once it has "
        "finished.",
        examples=[None],
    )
    remove: str | None = Field(
        description="DELETE this to remove the job and its tiles; null until it has finished.",
        examples=[f"/jobs/{_ID}"],
    )
    dataset: str | None = Field(
        description="The dataset that the job makes a part of; null if there is none.",
        examples=[None],
    )
    style: str | None = Field(
        description="The style that the job has encoded and kept; null if there is none.",
        examples=[None],
    )


class OutputDocument(BaseModel):
    href: str = Field(
        description="The tile, a PNG or a TIFF; or the encoded style, JSON.",
        examples=[f"/jobs/{_ID}/outputs/0"],
    )
    manifest: str = Field(
        description="What it was made from, JSON.",
        examples=[f"/jobs/{_ID}/outputs/0/manifest"],
    )
    seed: int | None = Field(description="Seed of this tile; null of a style.", examples=[7])
    sha256: str = Field(description="SHA-256 of the file.", examples=[_SHA256])


class JobDocument(BaseModel):
    """A job: one request for one or more tiles of one mask, or for a style to be encoded; or a
    part of a dataset."""

    id: str = Field(examples=[_ID])
    kind: str = Field(
        description="What it makes: `tile`, `style`, or part of a `dataset`.", examples=["tile"]
    )
    status: str = Field(
        description="queued, running, succeeded, failed or canceled.",
        json_schema_extra={"enum": ["queued", "running", "succeeded", "failed", "canceled"]},
        examples=["succeeded"],
    )
    position: int | None = Field(
        description="How many jobs are queued before it; null unless queued.", examples=[2]
    )
    attempts: int = Field(
        description="How often it was started: more than once if a worker died.", examples=[1]
    )
    error: JobError | None = Field(description="Why it failed; null otherwise.")
    progress: Progress
    seed: int | None = Field(
        description="Seed of the first tile, given or drawn; null of a job that makes none.",
        examples=[7],
    )
    created_at: datetime = Field(description="UTC.")
    started_at: datetime | None = Field(description="UTC; null until it is first started.")
    finished_at: datetime | None = Field(
        description="UTC; null until succeeded, failed or canceled."
    )
    expires_at: datetime | None = Field(
        description="UTC; after it the outputs are removed. Null until finished."
    )
    deadline_at: datetime | None = Field(
        description="UTC; it is dropped if it has not been started by then. Null without one."
    )
    links: JobLinks
    outputs: list[OutputDocument] = Field(
        description="Those stored so far, in order; none of a part of a dataset, whose bundle has "
        "them."
    )


class DatasetLinks(BaseModel):
    self: str = Field(description="This dataset.", examples=[f"/datasets/{_ID}"])
    events: str = Field(
        description="Server-sent events: this document whenever it changes.",
        examples=[f"/datasets/{_ID}/events"],
    )
    bundle: str | None = Field(
        description="The ZIP; null until all tiles are made.",
        examples=[f"/datasets/{_ID}/bundle"],
    )
    cancel: str | None = Field(
        description="DELETE this to cancel the rest; null once nothing more is done. It removes "
        "nothing.",
        examples=[None],
    )
    remove: str | None = Field(
        description="DELETE this to remove the dataset; null until nothing more is done.",
        examples=[f"/datasets/{_ID}"],
    )


class DatasetDocument(BaseModel):
    """A dataset that is made, or being made."""

    id: str = Field(examples=[_ID])
    status: str = Field(
        description="queued, running, succeeded, failed or canceled.",
        json_schema_extra={"enum": ["queued", "running", "succeeded", "failed", "canceled"]},
        examples=["running"],
    )
    error: JobError | None = Field(description="Why it failed; null otherwise.")
    progress: Progress
    count: int = Field(description="How many tiles.", examples=[500])
    organs: dict[str, float] = Field(
        description="With their weights.", examples=[{"kidney": 2.0, "breast": 1.0}]
    )
    width: int = Field(examples=[256])
    height: int = Field(examples=[256])
    seed: int = Field(description="Given or drawn.", examples=[7])
    formats: list[str] = Field(
        description="Of the annotations, beside label PNG.", examples=[["coco"]]
    )
    parts: int = Field(
        description="Into how many jobs it is divided, which workers share.", examples=[8]
    )
    created_at: datetime = Field(description="UTC.")
    started_at: datetime | None = Field(description="UTC; null until the first part is started.")
    finished_at: datetime | None = Field(description="UTC; null until nothing more is done.")
    expires_at: datetime | None = Field(
        description="UTC; after it the tiles are removed. Null until nothing more is done."
    )
    links: DatasetLinks


class StyleStatistics(BaseModel):
    """Of the exemplars of a style."""

    mean: list[float] = Field(description="Mean style vector, `style_dim` numbers.")
    std: list[float] = Field(description="Standard deviation of each entry (divisor: count).")


class StyleLinks(BaseModel):
    self: str | None = Field(
        description="This style; null of one that is not kept.", examples=["/styles/kidney"]
    )
    thumbnail: str | None = Field(
        description="A tile in this style; presets have one.",
        examples=["/styles/kidney/thumbnail"],
    )


_STYLE_NAME = "What the field `organ`, and the weights in `styles`, call it"
_STYLE_KIND = Field(
    description="`preset`, which came with the checkpoint, or `custom`, which `POST /styles` made.",
    json_schema_extra={"enum": ["preset", "custom"]},
    examples=["preset"],
)
_STYLE_ORGAN = Field(
    description="Of a preset: the organ of its slides. Null of a custom style.", examples=["kidney"]
)


class StyleSummary(BaseModel):
    name: str = Field(description=f"{_STYLE_NAME}.", examples=["kidney"])
    kind: str = _STYLE_KIND
    organ: str | None = _STYLE_ORGAN
    exemplars: int = Field(description="How many style vectors it holds.", examples=[12])
    spread: float = Field(
        description="Root mean square distance of the exemplars from their mean: how much the "
        "stain varies within the organ.",
        examples=[1.7],
    )
    outdated: bool = Field(
        description="Whether another checkpoint encoded it, so that it cannot be used: send its "
        "image again under the same name, or delete it.",
        examples=[False],
    )
    links: StyleLinks


class StylesDocument(BaseModel):
    style_dim: int = Field(description="Length of a style vector.", examples=[73])
    styles: list[StyleSummary]


class Exemplar(BaseModel):
    vector: list[float] = Field(description="Style vector, `style_dim` numbers.")
    source: dict[str, Any] = Field(
        description="Where it was taken from: of a preset as the checkpoint's card says, of a "
        "custom style `image_sha256` and `mpp` of the image.",
        examples=[{"slide": "TCGA-B0-5711-01Z-00-DX1", "top": 122, "left": 122, "side": 256}],
    )


class StyleDocument(BaseModel):
    """A style and its vectors: several exemplars of a preset, one of a custom style."""

    name: str | None = Field(
        description=f"{_STYLE_NAME}; null if it is not kept.", examples=["kidney"]
    )
    kind: str = _STYLE_KIND
    organ: str | None = _STYLE_ORGAN
    style_dim: int = Field(examples=[73])
    exemplars: list[Exemplar]
    statistics: StyleStatistics
    links: StyleLinks


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    status: str = Field(examples=["ready"])
    checkpoint: str = Field(description="Name of the checkpoint.", examples=["sian-release"])
    waiting: int = Field(description="Jobs in the queue.", examples=[0])


class ModelCard(BaseModel):
    """The checkpoint's card."""

    name: str = Field(examples=["sian-release"])
    format_version: int = Field(examples=[1])
    sha256: str = Field(description="Of the weights.", examples=[_SHA256])
    style_dim: int = Field(description="Length of a style vector.", examples=[73])
    mpp: float = Field(description="Micrometres per pixel of the tiles.", examples=[0.25])
    licence: str = Field(description="Of weights and tiles.", examples=["CC-BY-NC-SA-4.0"])
    code_version: str = Field(description="Of the software that trained it.", examples=["0.1.0"])
    network: dict[str, Any] = Field(description="Architecture.")
    training: dict[str, Any] = Field(description="Configuration and length of the run.")
    styles: dict[str, list[dict[str, Any]]] = Field(
        description="Per organ, where each exemplar comes from."
    )
