"""Files in S3: what is its own, and what happens when it fails."""

import socket

import pytest

from model.errors import SettingsInvalid, StorageUnavailable
from worker.artifacts import Artifacts


@pytest.fixture
def artifacts(s3):
    artifacts = Artifacts(s3.url("tiles"))
    yield artifacts
    artifacts.close()


def test_an_object_lies_below_the_prefix(s3, artifacts):
    artifacts.put("job", "0.png", b"tile")
    whole = Artifacts(s3.url("tiles").removesuffix("/some/prefix"))
    assert whole.scopes() == ["some"]
    whole.close()


def test_a_bucket_needs_no_prefix(s3):
    artifacts = Artifacts(s3.url("whole").removesuffix("/some/prefix"))
    artifacts.put("job", "0.png", b"tile")
    assert artifacts.scopes() == ["job"]
    assert artifacts.get("job", "0.png") == b"tile"
    artifacts.close()


def test_what_another_removed_is_gone_at_once(s3, artifacts):
    """No listing is kept."""
    other = Artifacts(s3.url("tiles"))
    artifacts.put("job", "0.png", b"tile")
    assert other.scopes() == ["job"]
    artifacts.remove("job")
    assert other.scopes() == []
    assert not other.exists("job", "0.png")
    other.close()


def test_s3_that_does_not_listen(s3, artifacts, caplog):
    artifacts.put("job", "0.png", b"tile")
    s3.stop()
    for use in (
        lambda: artifacts.put("job", "0.png", b"new"),
        lambda: artifacts.get("job", "0.png"),
        lambda: artifacts.exists("job", "0.png"),
        lambda: artifacts.discard("job", "0.png"),
        lambda: artifacts.remove("job"),
        artifacts.scopes,
    ):
        caplog.clear()
        with pytest.raises(StorageUnavailable, match="try again") as refusal:
            use()
        # Clients are shown the error; whoever runs the service has the log.
        for where in ("tiles", s3.environment["AWS_ENDPOINT_URL"].removeprefix("http://")):
            assert where not in str(refusal.value)
            assert where in caplog.text
    s3.start()
    assert artifacts.get("job", "0.png") == b"tile"


def test_s3_that_listens_and_says_nothing(s3, monkeypatch, caplog):
    monkeypatch.setattr("worker.s3_files._READ_S", 0.2)
    monkeypatch.setattr("worker.s3_files._GIVE_UP_S", 2)
    artifacts = Artifacts(s3.url("tiles"))
    _, port = s3.environment["AWS_ENDPOINT_URL"].rsplit(":", 1)
    s3.stop()
    with socket.create_server(("127.0.0.1", int(port))):
        with pytest.raises(StorageUnavailable):
            artifacts.get("job", "0.png")
        assert "Read timeout" in caplog.text
        with pytest.raises(StorageUnavailable):
            artifacts.put("job", "0.png", b"tile")
        assert "no answer within 2 s" in caplog.text
        with pytest.raises(StorageUnavailable, match="AWS_ENDPOINT_URL"):
            Artifacts("s3://tiles")
    s3.start()
    artifacts.put("job", "0.png", b"tile")
    assert artifacts.get("job", "0.png") == b"tile"
    artifacts.close()


def test_s3_that_is_not_there_at_the_start(s3):
    s3.stop()
    with pytest.raises(StorageUnavailable, match=r"SIAN_ARTIFACTS_URL=s3://tiles/a.*AWS_ENDPOINT"):
        Artifacts("s3://tiles/a")


def test_a_bucket_that_is_not_there(s3):
    url = "s3://nobody-made-this/prefix"
    with pytest.raises(SettingsInvalid, match=rf"SIAN_ARTIFACTS_URL={url}: .*Create it"):
        Artifacts(url)


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://no bucket/prefix"])
def test_what_names_no_bucket(url):
    with pytest.raises(SettingsInvalid, match=rf"SIAN_ARTIFACTS_URL={url}: .*names no bucket"):
        Artifacts(url)


def test_nobody_in_particular_asks(s3, monkeypatch, tmp_path):
    for name in s3.environment:
        if name != "AWS_ENDPOINT_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SettingsInvalid, match="AWS_ACCESS_KEY_ID"):
        Artifacts("s3://tiles")


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("fsspec.filesystem", lambda *_, **__: __import__("no_such_package"))
    with pytest.raises(SettingsInvalid, match=r"--constraint constraints.txt .*'\.\[engine,s3\]'"):
        Artifacts("s3://tiles")
