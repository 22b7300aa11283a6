import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.keys import ApiKey, Keyring, parse_keys
from app.settings import Settings
from model.errors import SettingsInvalid

WARD, LAB = "0123456789abcdef", "!~:;()[]{}<>?+-*/"

names = st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True)
secrets = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","),
    min_size=16,
    max_size=256,
)


@given(
    st.dictionaries(names, secrets, min_size=1, max_size=5), st.sampled_from([",", "\n", " ,\n"])
)
def test_reads_what_is_written(keys, separator):
    if len(set(keys.values())) < len(keys):
        return
    text = separator.join(f"{name}:{key}" for name, key in keys.items())
    assert parse_keys(text) == tuple(ApiKey(name, key) for name, key in keys.items())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (", ,", "there is no entry"),
        (WARD, "entry 1 has no colon"),
        (f"ward:{WARD},{LAB.replace(':', '')}", "entry 2 has no colon"),
        (f":{WARD}", "name of entry 1"),
        (f"the ward:{WARD}", "name of entry 1"),
        (f"{'w' * 33}:{WARD}", "name of entry 1"),
        (f"ward:{WARD[:15]}", "key of entry 1"),
        (f"ward:{WARD} {WARD}", "key of entry 1"),
        (f"ward:{WARD}é", "key of entry 1"),
        (f"ward:{WARD},ward:{LAB}", "same name"),
        (f"ward:{WARD},lab:{WARD}", "same key"),
    ],
)
def test_refuses_without_quoting(monkeypatch, text, reason):
    monkeypatch.setenv("SIAN_API_KEYS", text)
    with pytest.raises(SettingsInvalid, match=reason) as refusal:
        Settings.load()
    assert str(refusal.value).startswith("SIAN_API_KEYS: ")
    for secret in (WARD[:15], LAB[:6], "ward"):
        assert secret not in str(refusal.value)


def test_no_error_shows_a_key(monkeypatch):
    monkeypatch.setenv("SIAN_API_KEYS", f"ward:{WARD}")
    monkeypatch.setenv("SIAN_THREADS", "many")
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.load()
    assert WARD not in str(refusal.value)
    monkeypatch.delenv("SIAN_THREADS")
    assert WARD not in repr(Settings.load())


def test_reads_a_file(monkeypatch, tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"ward:{WARD}\nlab:{LAB}\n")
    monkeypatch.setenv("SIAN_API_KEYS_FILE", str(path))
    assert Settings.load().api_keys == (ApiKey("ward", WARD), ApiKey("lab", LAB))
    monkeypatch.setenv("SIAN_API_KEYS", f"own:{WARD}")
    assert Settings.load().api_keys == (ApiKey("ward", WARD), ApiKey("lab", LAB))


@pytest.mark.parametrize("text", ["", " \n", ",\n"])
def test_a_file_without_keys_lets_nobody_in(monkeypatch, tmp_path, text):
    path = tmp_path / "keys"
    path.write_text(text)
    monkeypatch.setenv("SIAN_API_KEYS_FILE", str(path))
    monkeypatch.setenv("SIAN_ALLOW_ANONYMOUS", "true")
    with pytest.raises(SettingsInvalid, match="SIAN_API_KEYS"):
        Settings.load()


def test_a_file_may_hold_the_broker(monkeypatch, tmp_path):
    path = tmp_path / "broker"
    path.write_text("redis://:secret@redis:6379/0\n")
    monkeypatch.setenv("SIAN_BROKER_URL_FILE", str(path))
    monkeypatch.setenv("SIAN_BROKER_URL", "redis://redis:6379/0")  # as docker-compose.yml does
    assert Settings.load().broker_url == "redis://:secret@redis:6379/0"
    path.write_text("http://:secret@redis")
    with pytest.raises(SettingsInvalid, match="SIAN_BROKER_URL") as refusal:
        Settings.load()
    assert "secret" not in str(refusal.value)


def test_a_file_that_cannot_be_read(monkeypatch, tmp_path):
    monkeypatch.setenv("SIAN_API_KEYS_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsInvalid, match=r"SIAN_API_KEYS_FILE=.*No such file"):
        Settings.load()
    (tmp_path / "none").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsInvalid, match=r"SIAN_API_KEYS_FILE=.*no UTF-8"):
        Settings.load()


def test_knows_whose_a_key_is():
    keyring = Keyring([ApiKey("ward", WARD), ApiKey("lab", LAB)])
    assert keyring
    assert keyring.name_of(WARD) == "ward"
    assert keyring.name_of(LAB) == "lab"
    for wrong in ("", WARD[:-1], WARD + "0", "ward", "\udcff"):
        assert keyring.name_of(wrong) is None
    assert not Keyring([])
