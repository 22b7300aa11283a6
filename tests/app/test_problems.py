import json
import re
from pathlib import Path

from fastapi import Request

from app import problems
from app.problems import HTTP_CODES, OUTCOMES, documented, status_of
from model import errors
from model.errors import InvalidInput, SianError

ROOT = Path(__file__).parents[2]


def tree(kind: type[SianError] = SianError) -> list[type[SianError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]


def test_every_error_has_an_outcome():
    assert set(OUTCOMES) == set(tree())


def test_codes_are_unique():
    codes = [kind.code for kind in tree()]
    assert len(set(codes)) == len(codes)


def test_statuses_say_whose_fault_it_is():
    for kind, outcome in OUTCOMES.items():
        assert 400 <= outcome.status < 600
        assert outcome.exit_code != 0
        if issubclass(kind, InvalidInput):
            assert outcome.status in (413, 422), kind


def test_statuses_of_codes():
    assert status_of("mask_binary") == 422
    assert status_of("queue_full") == 429
    assert status_of("of another version") == 500


def test_documents_every_code_of_a_status():
    responses = documented(errors.MaskBinary, errors.MaskTooLarge, errors.MaskFloat, 404)
    assert set(responses) == {422, 413, 404}
    schema = responses[422]["content"]["application/problem+json"]["schema"]
    assert schema["properties"]["code"]["enum"] == ["mask_binary", "mask_float"]


def test_the_page_lists_every_code():
    page = (ROOT / "docs" / "http-api.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `([a-z_]+)` \| \d{3} \|", page, re.MULTILINE))
    by_http = {
        kind.code
        for kind in tree()
        if not issubclass(kind, errors.TrainingError | errors.CheckpointError)
        and not kind.__subclasses__()
    }
    # What stalls ends the process; its jobs are run again, and at last are those of a lost worker.
    not_over_http = {"settings_invalid", "file_unwritable", "worker_stalled"}
    assert listed == (by_http - not_over_http) | set(HTTP_CODES.values())


def test_http_codes_do_not_contradict_the_tree():
    ours = {kind.code for kind in tree()}
    shared = {status: code for status, code in HTTP_CODES.items() if code in ours}
    assert shared == {413: "upload_too_large"}
    assert all(problems.status_of(code) == status for status, code in shared.items())


def test_any_detail_can_be_sent():
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    scope["server"] = ("testserver", 80)
    response = problems.problem(Request(scope), 422, "style_unknown", "\ud800 and \u00e9")
    assert json.loads(response.body)["detail"] == "\\ud800 and \u00e9"
