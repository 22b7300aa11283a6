"""Variables that look like settings and are none, since nothing reads them."""

import difflib
import logging
import os

from app.settings import SECRETS, Settings

_OF_OTHERS = (
    "SIAN_PORT",
    "SIAN_GPU",
    "SIAN_API_MEMORY",
    "SIAN_WORKER_MEMORY",
    "SIAN_REDIS_MEMORY",
    "SIAN_TEST_DATA",
)
"""What the compose files and the tests read."""
_ALIKE = 0.7

logger = logging.getLogger(__name__)


def warn() -> None:
    """Log a warning for each, with the setting that was probably meant. Values may be secrets and
    are not shown."""
    known = {f"SIAN_{name.upper()}" for name in Settings.model_fields}
    known |= {f"SIAN_{name.upper()}_FILE" for name in SECRETS}
    for name in sorted(os.environ):
        written = name.upper()  # settings may be written in small letters
        if written.startswith("SIAN_") and written not in known.union(_OF_OTHERS):
            logger.warning("%s is no setting and means nothing%s", name, _meant(written, known))


def _meant(name: str, known: set[str]) -> str:
    # Without what all have in common, which would make them all alike.
    bare = [other.removeprefix("SIAN_") for other in known]
    close = difflib.get_close_matches(name.removeprefix("SIAN_"), bare, 1, _ALIKE)
    return f"; did you mean SIAN_{close[0]}?" if close else ""
