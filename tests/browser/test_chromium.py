"""Which browser the tests take, and what they say where there is none."""

from types import SimpleNamespace

import pytest

from tests.browser import chromium


def playwright_with(path) -> SimpleNamespace:
    return SimpleNamespace(chromium=SimpleNamespace(executable_path=str(path)))


def test_the_systems_comes_first(monkeypatch, tmp_path):
    own = tmp_path / "own"
    own.touch()
    monkeypatch.setattr(chromium, "of_the_system", lambda: "/usr/bin/chromium")
    assert chromium.executable(playwright_with(own)) == "/usr/bin/chromium"


def test_else_playwrights_own(monkeypatch, tmp_path):
    own = tmp_path / "own"
    own.touch()
    monkeypatch.setattr(chromium, "of_the_system", lambda: None)
    assert chromium.executable(playwright_with(own)) == str(own)


def test_without_any_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(chromium, "of_the_system", lambda: None)
    with pytest.raises(LookupError, match="apt install chromium"):
        chromium.executable(playwright_with(tmp_path / "missing"))
