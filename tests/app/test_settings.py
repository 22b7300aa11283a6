import os
import re
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
        ("SIAN_MAX_STYLE_MPX", "65"),
        ("SIAN_RESPONSE_WAIT_S", "-1"),
        ("SIAN_RESPONSE_WAIT_S", "inf"),
        ("SIAN_PRECISION", "fp8"),
        ("SIAN_MAX_BATCH", "0"),
        ("SIAN_MAX_BATCH", "65"),
        ("SIAN_MAX_WAIT_MS", "-1"),
        ("SIAN_MAX_WAIT_MS", "nan"),
        ("SIAN_RATE_LIMIT", "120"),
        ("SIAN_RATE_LIMIT", "5/fortnight"),
        ("SIAN_TRUSTED_PROXIES", "10.0.0.7/8"),
        ("SIAN_TRUSTED_PROXIES", "proxy.lab"),
        ("SIAN_TRUSTED_PROXIES", "127.0.0.1,*"),
        ("SIAN_DRAIN_S", "-1"),
        ("SIAN_DRAIN_S", "nan"),
        ("SIAN_LOG_FORMAT", "xml"),
        ("SIAN_ALLOW_ANONYMOUS", "perhaps"),
    ],
)
def test_refuses_a_bad_value_by_name(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=re.escape(f"{variable}={value}")):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SIAN_BROKER_URL", "localhost:6379", ": write the URL of a Redis: redis://host:6379/0."),
        (
            "SIAN_BROKER_URL",
            "unix:///run/redis.sock",
            ": write the URL of a Redis: redis://host:6379/0.",
        ),
        ("SIAN_MAX_STYLE_MPX", "65", "=65: write 64 or less."),
        ("SIAN_DEVICE", "tpu", "=tpu: write cpu, mps, cuda or cuda:N."),
        ("SIAN_DEVICE", "cuda:0\n", "=cuda:0\n: write cpu, mps, cuda or cuda:N."),
        ("SIAN_THREADS", "0", "=0: write 1 or more."),
        ("SIAN_THREADS", "many", "=many: write a whole number."),
        ("SIAN_THREADS", "2.5", "=2.5: write a whole number."),
        ("SIAN_MAX_BATCH", "65", "=65: write 64 or less."),
        ("SIAN_MAX_WAIT_MS", "soon", "=soon: write a number."),
        ("SIAN_MAX_UPLOAD_MB", "inf", "=inf: write a finite number."),
        ("SIAN_RETENTION_HOURS", "-1", "=-1: write a number above 0."),
        ("SIAN_PRECISION", "fp8", "=fp8: write 'fp32', 'bf16' or 'fp16'."),
        ("SIAN_ALLOW_ANONYMOUS", "perhaps", "=perhaps: write true or false."),
    ],
)
def test_says_what_to_write(monkeypatch, variable, value, sentence):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.load()
    assert str(refusal.value) == f"{variable}{sentence}"


def test_no_sentence_is_a_programmers():
    """Whatever is written, for every setting."""
    refusals = []
    for name in Settings.model_fields:
        for value in ("", "x", "1.5", "-1", "nan", "inf", "9" * 5000, "a:b", "://"):
            try:
                Settings.load(**{name: value})
            except SettingsInvalid as refusal:
                refusals.append(str(refusal))
    assert len(refusals) > 50
    for sentence in refusals:
        assert not re.search(r"[Ii]nput|[Ss]tring|pattern|valid ", sentence)


@pytest.mark.parametrize("limit", ["120/minute", "1 per second", "10/second;1000/2hour"])
def test_rate_limits(monkeypatch, limit):
    monkeypatch.setenv("SIAN_RATE_LIMIT", limit)
    assert Settings.load().rate_limit == limit


@pytest.mark.parametrize("proxies", ["127.0.0.1", "10.0.0.0/8, ::1", "2001:db8::/32,"])
def test_proxies(monkeypatch, proxies):
    assert Settings.load().trusted_proxies == ""
    monkeypatch.setenv("SIAN_TRUSTED_PROXIES", proxies)
    assert Settings.load().trusted_proxies == proxies


def test_the_page_and_the_help_name_every_setting():
    root = Path(__file__).parents[2]
    page = (root / "docs" / "http-api.md").read_text("utf-8")
    for field in Settings.model_fields:
        assert f"| `SIAN_{field.upper()}` |" in page
        assert f"SIAN_{field.upper()}" in cli.serve.__doc__
