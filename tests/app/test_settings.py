import os
from pathlib import Path

import pytest

from app import cli
from app.settings import DEFAULT_CHECKPOINT, Settings
from model.errors import SettingsInvalid


def test_defaults():
    settings = Settings.load()
    assert settings.checkpoint == DEFAULT_CHECKPOINT
    assert settings.device == "cpu"
    assert settings.threads == os.cpu_count()
    assert settings.retention_hours == 24


def test_reads_the_environment(monkeypatch):
    monkeypatch.setenv("SIAN_DATA_DIR", "/srv/sian")
    monkeypatch.setenv("SIAN_THREADS", "3")
    monkeypatch.setenv("SIAN_DEVICE", "cuda:1")
    settings = Settings.load()
    assert settings.data_dir == Path("/srv/sian")
    assert settings.threads == 3
    assert settings.device == "cuda:1"


def test_an_empty_variable_is_an_absent_one(monkeypatch):
    monkeypatch.setenv("SIAN_THREADS", "")
    assert Settings.load().threads == os.cpu_count()


def test_what_is_given_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("SIAN_DEVICE", "cuda")
    assert Settings.load(device="cpu", checkpoint=None).device == "cpu"
    assert Settings.load(device=None).device == "cuda"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIAN_THREADS", "0"),
        ("SIAN_THREADS", "many"),
        ("SIAN_DEVICE", "tpu"),
        ("SIAN_QUEUE_LIMIT", "0"),
        ("SIAN_RETENTION_HOURS", "-1"),
        ("SIAN_RETENTION_HOURS", "nan"),
        ("SIAN_MAX_UPLOAD_MB", "0"),
        ("SIAN_MAX_UPLOAD_MB", "inf"),
        ("SIAN_MAX_STYLE_MPX", "0"),
        ("SIAN_RESPONSE_WAIT_S", "-1"),
        ("SIAN_RESPONSE_WAIT_S", "inf"),
        ("SIAN_PRECISION", "fp8"),
        ("SIAN_MAX_BATCH", "0"),
        ("SIAN_MAX_BATCH", "65"),
        ("SIAN_MAX_WAIT_MS", "-1"),
        ("SIAN_MAX_WAIT_MS", "nan"),
        ("SIAN_RATE_LIMIT", "120"),
        ("SIAN_RATE_LIMIT", "5/fortnight"),
        ("SIAN_DRAIN_S", "-1"),
        ("SIAN_DRAIN_S", "nan"),
        ("SIAN_LOG_FORMAT", "xml"),
        ("SIAN_ALLOW_ANONYMOUS", "perhaps"),
    ],
)
def test_refuses_a_bad_value_by_name(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=f"{variable}={value}"):
        Settings.load()


@pytest.mark.parametrize("limit", ["120/minute", "1 per second", "10/second;1000/2hour"])
def test_rate_limits(monkeypatch, limit):
    monkeypatch.setenv("SIAN_RATE_LIMIT", limit)
    assert Settings.load().rate_limit == limit


def test_the_page_and_the_help_name_every_setting():
    root = Path(__file__).parents[2]
    page = (root / "docs" / "http-api.md").read_text("utf-8")
    for field in Settings.model_fields:
        assert f"| `SIAN_{field.upper()}` |" in page
        assert f"SIAN_{field.upper()}" in cli.serve.__doc__
