"""The client of the service for asyncio."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

from app import client_datasets as datasets
from app import client_flows as flows
from app.client_datasets import DatasetOptions, OnDatasetProgress
from app.client_flows import (
    Image,
    Images,
    Mask,
    MaskFile,
    MaskReading,
    MaskWish,
    OnProgress,
    Options,
    Tile,
    ignore,
)
from app.client_http import AsyncConnection
from app.schemas import DatasetDocument, JobDocument, ModelCard, StyleDocument, StylesDocument
from model.formats import MaskFormat


class AsyncClient(AsyncConnection):
    """``app.client.Client`` with ``await``; see there for what the operations do."""

    async def synthesize(
        self,
        mask: Mask,
        *,
        style: Images | None = None,
        weights: Sequence[float] | None = None,
        organ: str | None = None,
        styles: Mapping[str, float] | None = None,
        on_progress: OnProgress = ignore,
        **options: Unpack[Options],
    ) -> list[Tile]:
        fields = flows.tile_fields(weights, organ, styles, options)
        flow = flows.synthesize(
            mask, style=style, fields=fields, on_progress=on_progress, patience_s=self._patience_s
        )
        return await self._run(flow)

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
        fields = flows.tile_fields(weights, organ, styles, options)
        flow = flows.submit(mask, style=style, fields=fields, patience_s=self._patience_s)
        return await self._run(flow)

    async def wait(self, job: JobDocument, *, on_progress: OnProgress = ignore) -> JobDocument:
        flow = flows.wait(job, on_progress=on_progress, patience_s=self._patience_s)
        return await self._run(flow)

    async def job(self, job_id: str) -> JobDocument:
        return await self._run(flows.get_job(job_id, self._patience_s))

    async def tiles(self, job: JobDocument) -> list[Tile]:
        return await self._run(flows.tiles(job, self._patience_s))

    async def cancel(self, job_id: str) -> None:
        await self._run(flows.cancel(job_id, self._patience_s))

    async def delete_job(self, job_id: str) -> None:
        await self._run(flows.delete_job(job_id, self._patience_s))

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

    async def make_dataset(self, count: int, **wish: Unpack[DatasetOptions]) -> DatasetDocument:
        return await self._run(datasets.make_dataset(count, wish, self._patience_s))

    async def dataset(self, dataset_id: str) -> DatasetDocument:
        return await self._run(datasets.get_dataset(dataset_id, self._patience_s))

    async def wait_dataset(
        self, dataset: DatasetDocument, *, on_progress: OnDatasetProgress = ignore
    ) -> DatasetDocument:
        flow = datasets.wait_dataset(dataset, on_progress=on_progress, patience_s=self._patience_s)
        return await self._run(flow)

    async def download_dataset(self, dataset: DatasetDocument, path: Path) -> None:
        await self._run(datasets.download_dataset(dataset, path, self._patience_s))

    async def cancel_dataset(self, dataset_id: str) -> None:
        await self._run(datasets.cancel_dataset(dataset_id, self._patience_s))

    async def delete_dataset(self, dataset_id: str) -> None:
        await self._run(datasets.delete_dataset(dataset_id, self._patience_s))
