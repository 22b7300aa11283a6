"""The environment of the processes that are measured: that of the shell, but for SIAN_* variables.

What a server is told is in the benchmark and in its recorded command; a setting that the shell
happens to have would change the numbers and be told nowhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def own_environment(**variables: str) -> dict[str, str]:
    """For a child process: this one's environment without SIAN_* variables, and with these."""
    inherited = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    return {**inherited, **variables}


@contextmanager
def without_settings() -> Iterator[None]:
    """Meanwhile this process has no SIAN_* variables: for children that inherit its environment,
    where other code starts them."""
    removed = {name: os.environ.pop(name) for name in list(os.environ) if _is_setting(name)}
    try:
        yield
    finally:
        os.environ.update(removed)


def _is_setting(name: str) -> bool:
    return name.startswith("SIAN_")
