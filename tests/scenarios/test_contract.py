"""Whatever is sent, the live server answers as its OpenAPI document says."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, checks
from schemathesis.schemas import APIOperation, BaseSchema

from tests.fakes import png, style_png
from tests.processes import PATIENCE_S, Server

CONFORMANCE = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES = settings(max_examples=15, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # On a busy machine, too, a tile is answered with itself before the client gives up.
    server = Server(
        tmp_path_factory.mktemp("contract"), response_wait_s=0.8 * PATIENCE_S, max_dataset_tiles=2
    )
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def document(api: Server) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{api.address}/openapi.json")


@pytest.fixture(scope="module")
def tiny_mask() -> bytes:
    mask = np.zeros((32, 32), np.uint16)
    mask[4:12, 4:12], mask[18:28, 16:30] = 1, 2
    return png(mask)


@pytest.fixture(scope="module")
def tiny_style() -> bytes:
    return style_png(64)


def operations(document: BaseSchema) -> list[APIOperation]:
    return [result.ok() for result in document.get_all_operations()]


def check(operation: APIOperation, prepare: Callable[[Case], None] = lambda case: None) -> None:
    """Send what fits the document and what does not."""
    checks.load_all_checks()
    conformance = checks.CHECKS.get_by_names(CONFORMANCE)

    @EXAMPLES
    @given(st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))
    def send(case: Case) -> None:
        prepare(case)
        response = case.call_and_validate(checks=conformance)
        # A deadline that is missed is the client's own wish.
        code = response.json()["code"] if response.status_code >= 500 else None
        assert code in (None, "deadline_exceeded"), response.text

    send()


def test_any_request(document):
    for operation in operations(document):
        check(operation, _small)


def _small(case: Case) -> None:
    """Tiles of a dataset that is accepted are not 1024 px wide."""
    if case.operation.path == "/datasets" and isinstance(case.body, dict):
        for name in ("width", "height"):
            if isinstance(case.body.get(name), int) and case.body[name] > 64:
                case.body[name] = 64


def test_requests_for_tiles(document, tiny_mask):
    """Of a real mask in the style of a real organ, so that many are fulfilled."""

    def prepare(case: Case) -> None:
        if isinstance(case.body, dict):
            case.body |= {"mask": tiny_mask, "organ": "kidney", "n": 1}

    check(document["/synthesize"]["POST"], prepare)


def test_requests_for_styles(document, tiny_style):
    """Of a real image, so that many are fulfilled; some of the names, too, are good."""

    def prepare(case: Case) -> None:
        if isinstance(case.body, dict):
            case.body |= {"style": tiny_style}

    check(document["/styles"]["POST"], prepare)


def test_requests_for_a_style(document, api, tiny_style):
    """That is kept, until it is deleted."""

    def prepare(case: Case) -> None:
        files, fields = {"style": tiny_style}, {"name": "ward"}
        assert api.client.post("/styles", files=files, data=fields).status_code == 200
        case.path_parameters["name"] = "ward"

    for operation in operations(document):
        if operation.path.startswith("/styles/"):
            check(operation, prepare)


def test_requests_for_jobs(document, api, tiny_mask):
    """Of a job that is there."""

    def prepare(case: Case) -> None:
        job = api.synthesize(tiny_mask, organ="kidney", seed=1)
        assert job.status_code == 200
        case.path_parameters["job_id"] = job.headers["Content-Location"].rpartition("/")[2]
        if "index" in case.path_parameters:
            case.path_parameters["index"] = 0

    for operation in operations(document):
        if operation.path.startswith("/jobs"):
            check(operation, prepare)


def test_requests_for_a_dataset(document, api):
    """That is made, or is being made."""

    def prepare(case: Case) -> None:
        accepted = api.client.post("/datasets", json={"count": 1, "width": 64, "height": 64})
        assert accepted.status_code == 202
        case.path_parameters["dataset_id"] = accepted.json()["id"]

    for operation in operations(document):
        if operation.path.startswith("/datasets/"):
            check(operation, prepare)
