"""Custom styles: style vectors of callers' own reference images, kept by name.

They lie among the artifacts, where they outlive every job, and belong to the checkpoint that
encoded them: its hash is in their file names, so that another checkpoint may have its own vector
under the same name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from model.checkpoint import Card
from model.errors import (
    StyleIsPreset,
    StyleNameInvalid,
    StyleNameTaken,
    StyleOutdated,
    StylesFull,
    StyleUnknown,
    StyleWeightsInvalid,
)
from model.styles import StyleVector
from model.version import code_version
from worker.artifacts import Artifacts
from worker.style import MAX_MIXED, Reference, Style

SCOPE = "styles"
"""Where among the artifacts they are."""
SUFFIX = ".style.json"
"""Of the output of a job that encodes a style: ``0.style.json`` among its artifacts."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HASH_DIGITS = 16


@dataclass(frozen=True, eq=False)
class CustomStyle:
    """The style vector of a reference image, and where it comes from.

    vector: (D,) float32.
    image_sha256: SHA-256 of the image's bytes as they were sent. mpp: its micrometres per pixel.
    checkpoint_sha256: of the checkpoint that encoded it, and the only one it means anything to.
    """

    vector: StyleVector
    image_sha256: str
    mpp: float
    checkpoint: str
    checkpoint_sha256: str
    code_version: str
    created_at: str
    name: str | None = None

    @classmethod
    def encoded(
        cls, vector: StyleVector, card: Card, *, image_sha256: str, mpp: float | None
    ) -> "CustomStyle":
        """What the checkpoint of this card has just made. mpp: None means the checkpoint's."""
        return cls(
            vector=vector,
            image_sha256=image_sha256,
            mpp=card.mpp if mpp is None else mpp,
            checkpoint=card.name,
            checkpoint_sha256=card.sha256,
            code_version=code_version(),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def reference(self) -> Reference:
        return Reference(image_sha256=self.image_sha256, mpp=self.mpp)

    def provenance(self) -> dict[str, Any]:
        """Everything but the vector."""
        return {name: value for name, value in asdict(self).items() if name != "vector"}

    def to_values(self) -> dict[str, Any]:
        """As JSON has it. Each float32, written as a decimal, comes back as the same."""
        return {**self.provenance(), "vector": self.vector.tolist()}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "CustomStyle":
        """The inverse of ``to_values``."""
        return cls(**{**values, "vector": np.asarray(values["vector"], np.float32)})

    def to_file(self) -> bytes:
        return (json.dumps(self.to_values(), indent=2) + "\n").encode()

    @classmethod
    def from_file(cls, data: bytes) -> "CustomStyle":
        return cls.from_values(json.loads(data))


class CustomStyles:
    """Those of one service. Methods raise StorageUnavailable.

    card: of the checkpoint that is served. Where one of its presets has the name of a custom style
        of another checkpoint, the custom style is hidden: neither found nor counted nor deleted.
    limit: how many may be kept, whatever their checkpoint; a few more if several are sent at once.
    """

    def __init__(self, artifacts: Artifacts, card: Card, *, limit: int) -> None:
        self._artifacts, self._card, self._limit = artifacts, card, limit

    def names(self) -> dict[str, bool]:
        """Of all that are not hidden, sorted, and whether each is of the checkpoint that is
        served."""
        found: dict[str, bool] = {}
        for name, checkpoint in sorted(self._files()):
            found[name] = found.get(name, False) or checkpoint == self._hash
        return found

    def get(self, name: str) -> CustomStyle:
        """
        Raises:
            StyleUnknown: neither a preset nor a custom style.
            StyleOutdated: another checkpoint encoded it.
        """
        if not _NAME.fullmatch(name):
            raise self._unknown(name)
        try:
            style = CustomStyle.from_file(self._artifacts.get(SCOPE, self._file(name)))
        except FileNotFoundError:
            if name in self.names():
                raise outdated(name) from None
            raise self._unknown(name) from None
        check_checkpoint(name, style, self._card)
        return style

    def of(self, style: Style) -> dict[str, CustomStyle]:
        """The custom styles among the names of a style.

        Raises:
            StyleWeightsInvalid: more than may be mixed.
            StyleUnknown, StyleOutdated: as ``get``.
        """
        names = [name for name in style.names if name not in self._card.styles]
        if len(names) > MAX_MIXED:
            raise StyleWeightsInvalid(
                f"The style mix names {len(names)} styles that are no presets; at most "
                f"{MAX_MIXED} can be mixed."
            )
        return {name: self.get(name) for name in names}

    def check(self, name: str, reference: Reference) -> None:
        """Whether a style may be kept under a name.

        Raises:
            StyleNameInvalid: the name is not well formed.
            StyleIsPreset: it is a preset's.
            StyleNameTaken: another image has it.
            StylesFull
        """
        if not _NAME.fullmatch(name):
            raise StyleNameInvalid(
                f"{name!r} cannot name a style. Use 1 to 64 lower case letters, digits, hyphens "
                "and underscores, a letter or digit first."
            )
        if name in self._card.styles:
            raise StyleIsPreset(f"{name!r} is the name of a preset; choose another.")
        try:
            known = self.get(name)
        except (StyleUnknown, StyleOutdated):
            if len(self._files()) >= self._limit:
                raise StylesFull(
                    f"{self._limit} custom styles are kept, which is all this service keeps; "
                    "delete one that is not needed any more."
                ) from None
            return
        if known.reference != reference:
            raise StyleNameTaken(
                f"Another image, or the same with another mpp, is kept as {name!r}; choose "
                "another name, or delete that style first."
            )

    def keep(self, name: str, style: CustomStyle) -> None:
        """Keep a style under a name; nothing changes if the same image has it already.

        Raises:
            StyleOutdated: another checkpoint encoded it.
            What ``check`` raises.
        """
        check_checkpoint(name, style, self._card)
        self.check(name, style.reference)
        if not self._artifacts.create(SCOPE, self._file(name), replace(style, name=name).to_file()):
            self.check(name, style.reference)  # somebody was faster, with the same image or not

    def delete(self, name: str) -> None:
        """Of every checkpoint.

        Raises:
            StyleIsPreset, StyleUnknown
        """
        if name in self._card.styles:
            raise StyleIsPreset(f"{name!r} is a preset of the checkpoint and cannot be deleted.")
        files = [(found, checkpoint) for found, checkpoint in self._files() if found == name]
        if not files:
            raise self._unknown(name)
        for found, checkpoint in files:
            self._artifacts.discard(SCOPE, _file(found, checkpoint))

    @property
    def _hash(self) -> str:
        return self._card.sha256[:_HASH_DIGITS]

    def _file(self, name: str) -> str:
        return _file(name, self._hash)

    def _files(self) -> list[tuple[str, str]]:
        """(name, first digits of the checkpoint's hash) of each that is not hidden."""
        parts = (file.split(".") for file in self._artifacts.names(SCOPE))
        found = [(part[0], part[1]) for part in parts if len(part) == 3 and part[2] == "json"]
        return [(name, digits) for name, digits in found if name not in self._card.styles]

    def _unknown(self, name: str) -> StyleUnknown:
        return StyleUnknown(
            f"There is no style {name!r}. Choose one of the presets "
            f"{', '.join(sorted(self._card.styles))}, a custom style that GET /styles lists, or "
            "send a reference image as 'style'."
        )


def check_checkpoint(name: str | None, style: CustomStyle, card: Card) -> None:
    """Raises StyleOutdated unless the checkpoint of this card encoded the style. name: None of a
    style that is not kept."""
    if style.checkpoint_sha256 != card.sha256:
        raise outdated(name)


def outdated(name: str | None) -> StyleOutdated:
    """The error for a style vector of another checkpoint. name: as in ``check_checkpoint``."""
    style, again = "The style", "again"
    if name is not None:
        style, again = f"The custom style {name!r}", "again under the same name"
    return StyleOutdated(
        f"{style} was encoded by another checkpoint, to whose style vectors this one's have no "
        f"relation. Send its image to POST /styles {again}."
    )


def to_file(styles: Mapping[str, CustomStyle]) -> bytes:
    """The custom styles that a job uses, by name, as one of its input files."""
    return json.dumps({name: style.to_values() for name, style in styles.items()}).encode()


def from_file(data: bytes, card: Card) -> dict[str, CustomStyle]:
    """The inverse of ``to_file``. Raises StyleOutdated as ``check_checkpoint``."""
    styles = {name: CustomStyle.from_values(values) for name, values in json.loads(data).items()}
    for name, style in styles.items():
        check_checkpoint(name, style, card)
    return styles


def _file(name: str, checkpoint: str) -> str:
    return f"{name}.{checkpoint}.json"
