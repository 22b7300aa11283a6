"""A client of the service, with and without asyncio.

>>> with Client("http://localhost:8000") as sian:
...     (tile,) = sian.synthesize(Path("mask.png"), organ="kidney", seed=7)
...     Path("tile.png").write_bytes(tile.data)

Names and meanings are those of the HTTP API. What goes wrong is raised as the class of
``model.errors`` with the code that the service gives. Calls are sent again while the service is
busy or cannot be reached, for ``patience_s``; what is sent twice is done once.

Needs the extra ``client``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

from app import client_datasets as datasets
from app import client_flows as flows
from app.async_client import AsyncClient
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
from app.client_http import Connection
from app.schemas import DatasetDocument, JobDocument, ModelCard, StyleDocument, StylesDocument
from model.formats import MaskFormat

__all__ = ["AsyncClient", "Client", "MaskFile", "Tile"]


class Client(Connection):
    """Blocks until each operation is done.

    Args:
        address: of the service.
        api_key: where it needs one.
        patience_s: for how long calls are sent again.
        http: another HTTP client to use; it is not closed.
    """

    def synthesize(
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
        """Tiles of a mask, once they are done.

        Args:
            style: an image, or up to eight that are mixed by ``weights``.
            on_progress: called with the job whenever it was looked at.

        Raises SianError.
        """
        fields = flows.tile_fields(weights, organ, styles, options)
        flow = flows.synthesize(
            mask, style=style, fields=fields, on_progress=on_progress, patience_s=self._patience_s
        )
        return self._run(flow)

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
        fields = flows.tile_fields(weights, organ, styles, options)
        return self._run(
            flows.submit(mask, style=style, fields=fields, patience_s=self._patience_s)
        )

    def wait(self, job: JobDocument, *, on_progress: OnProgress = ignore) -> JobDocument:
        """The job once it has succeeded. Raises what it failed with, or JobCanceled."""
        return self._run(flows.wait(job, on_progress=on_progress, patience_s=self._patience_s))

    def job(self, job_id: str) -> JobDocument:
        return self._run(flows.get_job(job_id, self._patience_s))

    def tiles(self, job: JobDocument) -> list[Tile]:
        """Those that are stored so far."""
        return self._run(flows.tiles(job, self._patience_s))

    def cancel(self, job_id: str) -> None:
        """Cancel a job; one that has ended stays as it is."""
        self._run(flows.cancel(job_id, self._patience_s))

    def delete_job(self, job_id: str) -> None:
        """Remove a job that has ended, with its tiles; cancel one that has not."""
        self._run(flows.delete_job(job_id, self._patience_s))

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

    def make_dataset(self, count: int, **wish: Unpack[DatasetOptions]) -> DatasetDocument:
        """Have so many random masks drawn and painted, without waiting for them.

        Args:
            wish: ``organs``, in equal shares or with weights; ``width`` and ``height`` of every
                tile, px; ``seed``; ``formats`` of the annotations.

        Raises SianError.
        """
        return self._run(datasets.make_dataset(count, wish, self._patience_s))

    def dataset(self, dataset_id: str) -> DatasetDocument:
        return self._run(datasets.get_dataset(dataset_id, self._patience_s))

    def wait_dataset(
        self, dataset: DatasetDocument, *, on_progress: OnDatasetProgress = ignore
    ) -> DatasetDocument:
        """The dataset once all its tiles are made. Raises what it failed with, or JobCanceled.

        on_progress: called with the dataset whenever it was looked at.
        """
        flow = datasets.wait_dataset(dataset, on_progress=on_progress, patience_s=self._patience_s)
        return self._run(flow)

    def download_dataset(self, dataset: DatasetDocument, path: Path) -> None:
        """Write its bundle, a ZIP, to a file as it comes. What the path names is replaced when
        the bundle is whole; until then it is in a file beside it, which a failure removes.

        Raises DatasetUnfinished, JobExpired, StoreUnavailable; OSError if it cannot be written.
        """
        self._run(datasets.download_dataset(dataset, path, self._patience_s))

    def cancel_dataset(self, dataset_id: str) -> None:
        """Cancel a dataset that is being made; one that is not stays as it is."""
        self._run(datasets.cancel_dataset(dataset_id, self._patience_s))

    def delete_dataset(self, dataset_id: str) -> None:
        """Cancel a dataset that is being made; remove the tiles of one that is not."""
        self._run(datasets.delete_dataset(dataset_id, self._patience_s))
