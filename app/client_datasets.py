"""What a client says to the service of datasets."""

import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from app.client_calls import Call, Flow, call
from app.client_flows import until_made
from app.schemas import ONLY_CANCEL, DatasetDocument
from model.errors import StoreUnavailable
from model.formats import MaskFormat

OnDatasetProgress = Callable[[DatasetDocument], None]


class DatasetOptions(TypedDict, total=False):
    """Fields of POST /datasets beside the count."""

    organs: Sequence[str] | Mapping[str, float] | None
    width: int
    height: int
    seed: int | None
    formats: Sequence[MaskFormat]


def make_dataset(count: int, wish: DatasetOptions, patience_s: float) -> Flow[DatasetDocument]:
    """POST /datasets, not waiting for the tiles. wish: what is not None of it is sent."""
    fields = {name: _plain(value) for name, value in wish.items() if value is not None}
    wanted = Call(
        "POST",
        "/datasets",
        # Sent again after a lost answer, it is the same dataset.
        headers={"Idempotency-Key": str(uuid.uuid4())},
        body={"count": count, **fields},
    )
    reply = yield from call(wanted, patience_s)
    return DatasetDocument.model_validate_json(reply.content)


def get_dataset(dataset_id: str, patience_s: float) -> Flow[DatasetDocument]:
    reply = yield from call(Call("GET", f"/datasets/{dataset_id}"), patience_s)
    return DatasetDocument.model_validate_json(reply.content)


def wait_dataset(
    dataset: DatasetDocument, *, on_progress: OnDatasetProgress, patience_s: float
) -> Flow[DatasetDocument]:
    """Until all its tiles are made. Raises what it failed with, or JobCanceled."""

    def look() -> Flow[DatasetDocument]:
        return get_dataset(dataset.id, patience_s)

    return until_made(dataset, look, on_progress=on_progress, named="Dataset")


def download_dataset(dataset: DatasetDocument, path: Path, patience_s: float) -> Flow[None]:
    """Write the bundle to a file, which is there when it is whole and not before.

    Raises DatasetUnfinished; StoreUnavailable also when the bundle came cut short.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    wanted = Call("GET", f"/datasets/{dataset.id}/bundle", into=partial)
    try:
        yield from call(wanted, patience_s)
        # A proxy that speaks HTTP/1.0 to the service cannot tell an end from a break.
        if not zipfile.is_zipfile(partial):
            raise StoreUnavailable(
                f"The bundle of dataset {dataset.id} came cut short. Download it again.",
                retry_after_s=1,
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def cancel_dataset(dataset_id: str, patience_s: float) -> Flow[None]:
    """Cancel a dataset that is being made; one that is not stays as it is."""
    yield from call(Call("DELETE", f"/datasets/{dataset_id}{ONLY_CANCEL}"), patience_s)


def delete_dataset(dataset_id: str, patience_s: float) -> Flow[None]:
    """Cancel a dataset that is being made; remove the tiles of one that is not.

    With an address for each, as ``delete_job``.
    """
    dataset = yield from get_dataset(dataset_id, patience_s)
    if dataset.links.cancel is not None:
        yield from cancel_dataset(dataset_id, patience_s)
        return
    yield from call(Call("DELETE", f"/datasets/{dataset_id}"), patience_s)


def _plain(value: object) -> object:
    """As JSON has it. A lone text stays one: the service says that it wants a list."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
