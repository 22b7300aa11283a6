import pytest

from app import stray_settings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SIAN_QUEUELIMIT", "SIAN_QUEUE_LIMIT"),
        ("SIAN_API_KEY", "SIAN_API_KEYS"),
        ("SIAN_API_KEY_FILE", "SIAN_API_KEYS_FILE"),
        ("SIAN_REDIS_URL", None),
        ("sian_max_bach", "SIAN_MAX_BATCH"),
        ("SIAN_COFFEE", None),
    ],
)
def test_names_what_is_misspelt_and_what_was_meant(monkeypatch, caplog, name, meant):
    monkeypatch.setenv(name, "secret")
    stray_settings.warn()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    question = f"; did you mean {meant}?" if meant else ""
    assert record.getMessage() == f"{name} is no setting and means nothing{question}"


def test_has_nothing_to_say_of_settings_and_of_what_others_read(monkeypatch, caplog):
    for name in ("SIAN_THREADS", "sian_device", "SIAN_API_KEYS_FILE", "SIAN_GPU", "SIANESE"):
        monkeypatch.setenv(name, "1")
    stray_settings.warn()
    assert caplog.records == []


def test_the_service_says_it_when_it_starts(start, redis_url, monkeypatch, caplog):
    monkeypatch.setenv("SIAN_QUEUELIMIT", "3")
    start()
    assert caplog.text.count("did you mean SIAN_QUEUE_LIMIT?") == 1
    start(broker_url=redis_url)
    assert caplog.text.count("did you mean SIAN_QUEUE_LIMIT?") == 2
