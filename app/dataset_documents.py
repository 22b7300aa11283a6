"""Datasets over the wire: what is asked for, and what is answered."""

from datetime import timedelta
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.dataset_jobs import Dataset
from app.schemas import ONLY_CANCEL, DatasetDocument, DatasetLinks, JobError, Progress
from app.service import Service
from model.formats import MaskFormat
from model.mask import LARGEST_MASK_PX
from model.nuclei import SMALLEST_PX
from model.styles import StyleBank
from worker.dataset.request import DEFAULT_FORMATS, MOST_TILES, DatasetRequest, usual_organs
from worker.jobs import JobState
from worker.request import MAX_SEED, draw_seed

_SIDE = f"Of every tile, in pixels: {SMALLEST_PX} to {LARGEST_MASK_PX}."


class DatasetWish(BaseModel):
    """A dataset to make: random masks with nuclei as those of organs, and a tile of each."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1, le=MOST_TILES, description="How many tiles.", examples=[500])
    organs: list[str] | dict[str, float] | SkipJsonSchema[None] = Field(
        None,
        description="Organs, in equal shares, or with weights; all presets whose nuclei "
        "are known unless given.",
        examples=[{"kidney": 2, "breast": 1}],
    )
    width: int = Field(256, ge=SMALLEST_PX, le=LARGEST_MASK_PX, description=_SIDE)
    height: int = Field(256, ge=SMALLEST_PX, le=LARGEST_MASK_PX, description=_SIDE)
    seed: int | SkipJsonSchema[None] = Field(
        None, ge=0, le=MAX_SEED, description="Drawn at random and reported if absent.", examples=[7]
    )
    formats: list[MaskFormat] = Field(
        list(DEFAULT_FORMATS),
        description="Of the annotations, beside the label PNG that every tile has.",
        examples=[["coco", "geojson"]],
    )

    def request(self, bank: StyleBank) -> DatasetRequest:
        """What is to be made of the presets in ``bank``. Raises ParameterInvalid."""
        chosen = usual_organs(bank) if self.organs is None else self.organs
        if isinstance(chosen, list):
            chosen = dict.fromkeys(chosen, 1.0)
        return DatasetRequest(
            count=self.count,
            organs=chosen,
            height=self.height,
            width=self.width,
            seed=draw_seed() if self.seed is None else self.seed,
            formats=tuple(name for name in self.formats if name != "png"),
        )


def dataset_document(request: Request, service: Service, dataset: Dataset) -> DatasetDocument:
    """Links are paths from the root, as those of jobs."""
    wish, jobs, is_finished = dataset.request, dataset.jobs, dataset.is_finished
    failure = dataset.failure
    ends = [job.finished_at for job in jobs if job.finished_at is not None]
    finished_at = max(ends) if is_finished else None
    retention = timedelta(hours=service.settings.retention_hours)

    def path(name: str) -> str:
        return request.url_for(name, dataset_id=dataset.id).path

    return DatasetDocument(
        id=dataset.id,
        status=dataset.state,
        error=JobError(code=failure.code, detail=failure.message) if failure else None,
        progress=Progress(done=dataset.done, total=wish.count, unit="tiles"),
        **_asked(wish),
        parts=len(dataset.parts[0].job_ids()),
        created_at=jobs[0].created_at,
        started_at=min((job.started_at for job in jobs if job.started_at), default=None),
        finished_at=finished_at,
        expires_at=None if finished_at is None else finished_at + retention,
        links=DatasetLinks(
            self=path("get_dataset"),
            events=path("get_dataset_events"),
            bundle=path("get_bundle") if dataset.state is JobState.SUCCEEDED else None,
            cancel=None if is_finished else f"{path('get_dataset')}{ONLY_CANCEL}",
            remove=path("get_dataset") if is_finished else None,
        ),
    )


def _asked(wish: DatasetRequest) -> dict[str, Any]:
    return {
        "count": wish.count,
        "organs": wish.organs,
        "width": wish.width,
        "height": wish.height,
        "seed": wish.seed,
        "formats": list(wish.formats),
    }
