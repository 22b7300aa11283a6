from importlib import metadata

import pytest

from model.version import code_version


def test_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tile's manifest names it, also when the process cannot open another file."""
    version = code_version()

    def fail(name: str) -> str:
        raise OSError("Too many open files")

    monkeypatch.setattr(metadata, "version", fail)
    assert code_version() == version
