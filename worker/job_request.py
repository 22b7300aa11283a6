"""What a job may be asked to do: a request class for each kind, and how they are written down.

The JSON of a request names its ``kind``. One without is a request for tiles, as all were before
there were others.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

from model.errors import ParameterInvalid, SianError
from worker.dataset.part import DatasetPart
from worker.inputs import STYLE
from worker.request import MPP_RANGE, SynthesisRequest

logger = logging.getLogger(__name__)


class JobRequest(Protocol):
    """What all kinds have in common.

    kind: which it is.
    n: how many outputs its job makes. unit: what they are, in the plural.
    seed: of the first of them; None where nothing is drawn.
    large: only one such job runs at a time, for the memory it takes.
    inputs: names of its files among the artifacts of the job.
    """

    @property
    def kind(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def unit(self) -> str: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def large(self) -> bool: ...
    @property
    def inputs(self) -> list[str]: ...

    def to_json(self) -> str: ...


@dataclass(frozen=True)
class StyleRequest:
    """Encode a reference image as a style vector, and keep it if it is given a name.

    image_sha256: SHA-256 of the image's bytes as they were sent.
    name: one that ``CustomStyles.check`` allows.
    mpp: micrometres per pixel of the image; None means the checkpoint's.

    Raises:
        ParameterInvalid: mpp out of range.
    """

    image_sha256: str
    name: str | None = None
    mpp: float | None = None

    kind: ClassVar[str] = "style"
    n: ClassVar[int] = 1
    unit: ClassVar[str] = "styles"
    seed: ClassVar[None] = None
    large: ClassVar[bool] = False
    inputs: ClassVar[list[str]] = [STYLE]

    def __post_init__(self) -> None:
        low, high = MPP_RANGE
        if self.mpp is not None and not low <= self.mpp <= high:
            raise ParameterInvalid(
                f"mpp is {self.mpp}; it must lie in {low}..{high} micrometres per pixel."
            )

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "StyleRequest":
        """From what the JSON holds beside the kind."""
        return cls(**values)


@dataclass(frozen=True)
class UnknownRequest:
    """Of a kind, or with fields, that this version does not know: its record can be read and
    listed, and its job fails with a clear word. text: the JSON as it was found."""

    kind: str
    text: str

    n: ClassVar[int] = 1
    unit: ClassVar[str] = "outputs"
    seed: ClassVar[None] = None
    large: ClassVar[bool] = False
    inputs: ClassVar[list[str]] = []

    def to_json(self) -> str:
        return self.text


def request_from_json(text: str) -> JobRequest:
    """The request of whichever kind it is. Whoever meets one of a newer version, before a rollback
    perhaps, can still read, list and remove its job."""
    values = json.loads(text)
    kind = values.pop("kind", SynthesisRequest.kind)
    known = _KINDS.get(str(kind))
    if known is not None:
        try:
            return known(values)
        except (SianError, KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("a request of kind %s cannot be read: %s", kind, error)
    return UnknownRequest(kind=str(kind), text=text)


_KINDS: dict[str, Callable[[dict[str, Any]], JobRequest]] = {
    SynthesisRequest.kind: SynthesisRequest.from_values,
    StyleRequest.kind: StyleRequest.from_values,
    DatasetPart.kind: DatasetPart.from_values,
}
