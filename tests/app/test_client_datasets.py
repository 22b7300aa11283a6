"""What the client does about datasets: on scripted replies, and over a transport that breaks."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2 as httpx
import pytest

from app.client import AsyncClient, Client
from app.client_calls import Unreachable
from app.client_datasets import cancel_dataset, delete_dataset, make_dataset, wait_dataset
from app.schemas import DatasetDocument
from model.errors import DatasetUnfinished, JobCanceled, JobExpired, StoreUnavailable, WorkerLost
from tests.app.scripted import play, problem, reply

ID = "b" * 32
BUNDLE = f"/datasets/{ID}/bundle"


def dataset(status="queued", done=0, **changes) -> DatasetDocument:
    fields = {
        "id": ID, "status": status, "error": None, "count": 4, "organs": {"kidney": 1.0},
        "progress": {"done": done, "total": 4, "unit": "tiles"}, "width": 64, "height": 64,
        "seed": 7, "formats": ["coco"], "parts": 1, "created_at": "2026-01-01T00:00:00Z",
        "started_at": None, "finished_at": None, "expires_at": None,
        "links": {"self": f"/datasets/{ID}", "events": f"/datasets/{ID}/events",
                  "bundle": BUNDLE if status == "succeeded" else None, "cancel": None,
                  "remove": None},
    }  # fmt: skip
    return DatasetDocument.model_validate({**fields, **changes})


def document(*args, **kwargs):
    return reply(200, dataset(*args, **kwargs).model_dump_json().encode())


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        bundle.writestr("images/000000.png", bytes(range(256)) * 4000)
    return stream.getvalue()


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Pieces of a body; when it is their turn an exception among them is raised, a function
    called."""

    def __init__(self, *pieces: bytes | Exception | Callable[[], None]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                yield piece
            else:
                piece()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def bundle(*pieces: bytes | Exception | Callable[[], None]) -> httpx.Response:
    return httpx.Response(200, stream=Stream(*pieces))


def lost() -> httpx.RemoteProtocolError:
    return httpx.RemoteProtocolError("peer closed connection")


@pytest.fixture(params=["blocking", "asyncio"])
def download(request, tmp_path):
    """Downloads to ``tmp_path / 'd.zip'`` from a service that answers so; the paths asked for."""

    def download(*answers: httpx.Response, patience_s: float = 60) -> list[str]:
        asked, left = [], list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return left.pop(0)

        transport = httpx.MockTransport(answer)
        path = tmp_path / "d.zip"
        if request.param == "blocking":
            with httpx.Client(base_url="http://sian", transport=transport) as http:
                Client(http=http, patience_s=patience_s).download_dataset(
                    dataset("succeeded"), path
                )
        else:

            async def run() -> None:
                async with httpx.AsyncClient(base_url="http://sian", transport=transport) as http:
                    client = AsyncClient(http=http, patience_s=patience_s)
                    await client.download_dataset(dataset("succeeded"), path)

            asyncio.run(run())
        assert left == []
        return asked

    return download


def test_a_lost_answer_makes_no_second_dataset():
    wish = {"organs": ("kidney", "liver"), "seed": None, "width": 64}
    made, calls, _ = play(make_dataset(4, wish, 60), Unreachable("cut"), document())
    assert made.id == ID
    assert [each.path for each in calls] == ["/datasets"] * 2
    assert len({each.headers["Idempotency-Key"] for each in calls}) == 1
    assert calls[0].body == {"count": 4, "organs": ["kidney", "liver"], "width": 64}
    _, others, _ = play(make_dataset(4, {}, 60), document())
    assert others[0].headers["Idempotency-Key"] != calls[0].headers["Idempotency-Key"]


def test_what_is_sent_twice_is_canceled_or_deleted_once():
    _, calls, _ = play(cancel_dataset(ID, 60), Unreachable("cut"), document("succeeded", 4))
    assert [each.path for each in calls] == [f"/datasets/{ID}?only=cancel"] * 2
    gone = problem(410, "job_expired")
    _, calls, _ = play(delete_dataset(ID, 60), document("succeeded", 4), Unreachable("cut"), gone)
    assert [(each.method, each.path) for each in calls[1:]] == [("DELETE", f"/datasets/{ID}")] * 2
    canceled = (Unreachable("cut"), document("canceled"))
    links = dataset().links.model_dump() | {"cancel": f"/datasets/{ID}?only=cancel"}
    _, calls, _ = play(delete_dataset(ID, 60), document("running", links=links), *canceled)
    assert [each.path for each in calls[1:]] == [f"/datasets/{ID}?only=cancel"] * 2


def test_waits_and_tells_of_progress():
    seen = []
    flow = wait_dataset(
        dataset(), on_progress=lambda each: seen.append(each.progress.done), patience_s=60
    )
    result, calls, pauses = play(flow, document("running", 3), document("succeeded", 4))
    assert result.links.bundle == BUNDLE
    assert seen == [0, 3, 4]
    assert [each.path for each in calls] == [f"/datasets/{ID}"] * 2
    assert len(pauses) == 2


def test_a_failed_dataset_is_its_error():
    failed = dataset("failed", error={"code": "worker_lost", "detail": "three times"})
    with pytest.raises(WorkerLost, match="three times"):
        play(wait_dataset(failed, on_progress=lambda each: None, patience_s=60))
    with pytest.raises(JobCanceled, match=f"Dataset {ID}"):
        play(wait_dataset(dataset("canceled"), on_progress=lambda each: None, patience_s=60))


def test_the_bundle_replaces_what_was_there(download, tmp_path):
    data = archive()
    (tmp_path / "d.zip").write_bytes(b"old")
    assert download(bundle(data[:1000], data[1000:])) == [BUNDLE]
    assert (tmp_path / "d.zip").read_bytes() == data
    assert list(tmp_path.iterdir()) == [tmp_path / "d.zip"]


def test_what_has_come_is_written_before_the_rest_comes(download, tmp_path):
    data, sizes = archive(), []

    def look() -> None:
        sizes.extend(path.stat().st_size for path in tmp_path.iterdir())

    download(bundle(data[:800_000], look, data[800_000:]))
    assert len(sizes) == 1  # beside where it will be, and alone
    assert sizes[0] > 500_000
    assert (tmp_path / "d.zip").read_bytes() == data


def test_a_lost_connection_begins_again(download, tmp_path):
    data = archive()
    assert len(download(bundle(data[:1000], lost()), bundle(data))) == 2
    assert (tmp_path / "d.zip").read_bytes() == data


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (lambda: bundle(archive()[:1000], lost()), StoreUnavailable, "peer closed"),
        (lambda: bundle(archive()[:1000]), StoreUnavailable, "cut short"),
        (lambda: refusal(409, "dataset_unfinished"), DatasetUnfinished, "about"),
        (lambda: refusal(410, "job_expired"), JobExpired, "about"),
    ],
)
def test_what_fails_leaves_what_was_there(download, tmp_path, answer, error, match):
    (tmp_path / "d.zip").write_bytes(b"old")
    with pytest.raises(error, match=match):
        download(answer(), patience_s=0)
    assert (tmp_path / "d.zip").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "d.zip"]


def refusal(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, content=problem(status, code).content)


def test_a_defect_on_the_way_leaves_no_part(download, tmp_path):
    with pytest.raises(ZeroDivisionError):
        download(bundle(archive()[:1000], ZeroDivisionError()))
    assert list(tmp_path.iterdir()) == []
