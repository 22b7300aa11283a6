"""The OpenAPI document says everything a client needs, and it is true."""

import json
import re
from pathlib import Path

import pytest

from app.problems import HTTP_CODES, MEDIA_TYPE, OUTCOMES
from model.errors import (
    CheckpointError,
    FileUnwritable,
    MaskUnwritable,
    SettingsInvalid,
    TrainingError,
    WorkerStalled,
)

METHODS = ("get", "post", "put", "patch", "delete")
SCRIPTS = re.compile(r"""(?:src|href)=["']([^"']+)["']""")


@pytest.fixture
def document(client) -> dict:
    return client.get("/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield f"{method} {path}", operation


def resolve(document, schema):
    if "$ref" not in schema:
        return schema
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def test_lists_the_routes(document):
    assert {name for name, _ in operations(document)} == {
        "post /synthesize",
        "post /masks",
        "post /masks/convert",
        "get /jobs/{job_id}",
        "delete /jobs/{job_id}",
        "get /jobs/{job_id}/events",
        "get /jobs/{job_id}/outputs/{index}",
        "get /jobs/{job_id}/outputs/{index}/manifest",
        "get /styles",
        "post /styles",
        "get /styles/{name}",
        "delete /styles/{name}",
        "get /styles/{name}/thumbnail",
        "post /datasets",
        "get /datasets/{dataset_id}",
        "delete /datasets/{dataset_id}",
        "get /datasets/{dataset_id}/events",
        "get /datasets/{dataset_id}/bundle",
        "get /healthz",
        "get /readyz",
        "get /model",
        "get /metrics",
    }


def test_every_operation_says_what_it_does(document):
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name


def test_every_parameter_has_a_description_and_an_example(document):
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            assert parameter.get("description") or schema.get("description"), (name, parameter)
            assert parameter.get("example") or schema.get("examples"), (name, parameter)


FORMS = {
    "/synthesize": {
        "mask", "style", "organ", "styles", "weights", "seed", "n", "mpp", "label_components",
        "width", "height", "deadline_s",
    },
    "/styles": {"style", "name", "mpp", "deadline_s"},
}  # fmt: skip


@pytest.mark.parametrize(("path", "required"), [("/synthesize", "mask"), ("/styles", "style")])
def test_every_form_field_has_a_description_and_an_example(document, path, required):
    body = document["paths"][path]["post"]["requestBody"]
    assert set(body["content"]) == {"multipart/form-data"}
    schema = resolve(document, body["content"]["multipart/form-data"]["schema"])
    fields = schema["properties"]
    assert schema["required"] == [required]
    assert set(fields) == FORMS[path]
    for name, field in fields.items():
        assert field["description"], name
        assert field["examples"], name
        assert "anyOf" not in field, name  # Swagger's form shows no file chooser for a union


def test_every_response_has_a_body_that_is_described(document):
    for name, operation in operations(document):
        successes = [status for status in operation["responses"] if status.startswith("2")]
        assert successes, name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if status not in ("204", "304"):
                assert response["content"], (name, status)


def test_every_error_is_a_problem_with_its_codes(document):
    known = {(outcome.status, kind.code) for kind, outcome in OUTCOMES.items()}
    known |= set(HTTP_CODES.items())
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            assert set(response["content"]) == {MEDIA_TYPE}, (name, status)
            media = response["content"][MEDIA_TYPE]
            codes = resolve(document, media["schema"])["properties"]["code"]["enum"]
            assert codes, (name, status)
            assert {(int(status), code) for code in codes} <= known
            assert media["example"]["code"] in codes
        assert "internal_error" in json.dumps(operation["responses"]["500"]), name


def test_every_error_of_the_service_is_documented_somewhere(document):
    text = json.dumps(document)
    for kind in OUTCOMES:
        if issubclass(kind, CheckpointError | FileUnwritable | TrainingError | SettingsInvalid):
            continue  # these stop the server before it listens, or never reach it
        if kind.__subclasses__() or kind in (MaskUnwritable, WorkerStalled):
            continue
        assert f'"{kind.code}"' in text, kind


def test_the_validation_error_of_the_framework_is_gone(document):
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_property_of_a_response_is_typed(document):
    for name, schema in document["components"]["schemas"].items():
        for field, value in schema.get("properties", {}).items():
            assert value.keys() & {"type", "anyOf", "$ref"}, (name, field)


def test_the_documentation_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    links = SCRIPTS.findall(page.text)
    assert any(link.endswith(".js") for link in links)
    for link in links:
        assert client.get(link).status_code == 200, link


def test_the_page_on_http_names_every_route(document):
    page = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text("utf-8")
    for path in document["paths"]:
        named = re.sub(r"\{\w+_id\}", "{id}", path).replace("{index}", "{i}")
        assert named in page, named


def test_says_where_a_key_is_needed(client, start, tmp_path):
    keyed = start(api_keys="ward:0123456789abcdef", data_dir=tmp_path / "keyed")
    both = [{"bearer": []}, {"apiKey": []}]
    for this, expected in ((client, [{}, *both]), (keyed, both)):
        document = this.get("/openapi.json").json()
        for name, operation in operations(document):
            is_open = name in ("get /healthz", "get /readyz")
            assert operation.get("security") == (None if is_open else expected), name
            assert ("401" in operation["responses"]) == (not is_open), name
