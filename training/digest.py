"""Digests by which work that was kept is known again."""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest(*parts: NDArray[Any] | object) -> str:
    """sha256 over arrays, with their shapes and types, and JSON-ready values."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            total.update(json.dumps(part, sort_keys=True).encode())
        total.update(b"\0")
    return total.hexdigest()
