"""The multipart fields of POST /synthesize."""

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import File, Form, Request, Response, UploadFile
from pydantic.json_schema import SkipJsonSchema

from app import problems
from app.field_errors import LONGEST_DEADLINE_S
from model import errors
from model.errors import ParameterInvalid, SianError, StorageUnavailable
from model.mask import SMALLEST_MASK_PX
from model.tiling import LARGEST_TILED_PX
from worker.request import MAX_SEED, MAX_TILES, MPP_RANGE

_RETRY_AFTER_S = 10
_FIELDS = frozenset(
    {
        "mask",
        "style",
        "organ",
        "styles",
        "weights",
        "seed",
        "n",
        "mpp",
        "label_components",
        "width",
        "height",
        "deadline_s",
    }
)

logger = logging.getLogger(__name__)


LabelComponents = Annotated[
    bool,
    Form(
        description="For a binary mask or a class map: make every connected component one nucleus. "
        "Nuclei that touch merge.",
        examples=[False],
    ),
]
Mpp = Annotated[
    float | SkipJsonSchema[None],
    Form(
        ge=MPP_RANGE[0],
        le=MPP_RANGE[1],
        description="Micrometres per pixel of the images that are sent, mask or style: 0.25 is "
        "40x, 0.5 is 20x. If it differs from the checkpoint's by more than 5 %, they are resampled "
        "to the checkpoint's, and a tile back to the mask's.",
        examples=[0.25],
    ),
]
DeadlineS = Annotated[
    float | SkipJsonSchema[None],
    Form(
        gt=0,
        le=LONGEST_DEADLINE_S,
        description="Seconds after which the result is of no use: a job that has not been "
        "started by then is dropped, with the error `deadline_exceeded`.",
        examples=[30],
    ),
]
Width = Annotated[
    int | SkipJsonSchema[None],
    Form(
        ge=SMALLEST_MASK_PX,
        le=LARGEST_TILED_PX,
        description="Of the image that outlines lie in (GeoJSON, XML), whose file does not say it.",
        examples=[1000],
    ),
]
Height = Annotated[
    int | SkipJsonSchema[None],
    Form(
        ge=SMALLEST_MASK_PX,
        le=LARGEST_TILED_PX,
        description="As width; both or neither.",
        examples=[1000],
    ),
]


MASK_ERRORS: tuple[type[SianError], ...] = (
    errors.MaskMissing,
    errors.MaskEmptyFile,
    errors.MaskUnreadable,
    errors.MaskTooLarge,
    errors.MaskTooSmall,
    errors.MaskBinary,
    errors.MaskColour,
    errors.MaskFloat,
    errors.MaskNegative,
    errors.MaskIdTooLarge,
    errors.MaskShape,
)
"""What may be wrong with the file of a mask."""
STYLE_ERRORS: tuple[type[SianError], ...] = (
    errors.StyleMissing,
    errors.StyleUnreadable,
    errors.StyleTooSmall,
    errors.StyleTooLarge,
)
"""What may be wrong with a style image."""


def mask_size(width: int | None, height: int | None) -> tuple[int, int] | None:
    """(height, width). Raises ParameterInvalid for one without the other."""
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise ParameterInvalid("Give both width and height of the mask's image, or neither.")
    return height, width


@dataclass(frozen=True)
class SynthesisForm:
    """The fields, of the right type and in range, but not yet looked into."""

    mask: UploadFile
    style_images: tuple[UploadFile, ...]
    organ: str | None
    styles: str | None
    weights: str | None
    seed: int | None
    n: int
    mpp: float | None
    label_components: bool
    mask_size: tuple[int, int] | None
    deadline_s: float | None

    async def close(self) -> None:
        """Free what the files take up, in memory or on the disk, which the server would do only
        when it has answered."""
        for file in (self.mask, *self.style_images):
            await file.close()


async def synthesis_form(
    request: Request,
    mask: Annotated[
        UploadFile,
        File(
            description="Instance mask: label PNG, TIFF or .npy, GeoJSON, COCO, Aperio XML, .mat "
            "or PanNuke, see docs/masks.md. In a label image 0 is the background, every other "
            "value the id of one nucleus. 16 to 8192 pixels a side; above 1024 one tile a request.",
            examples=["mask.png"],
        ),
    ],
    style: Annotated[
        list[UploadFile] | SkipJsonSchema[None],
        File(
            description="Reference image of H&E-stained tissue whose stain and texture the tile "
            "takes: PNG, JPEG or TIFF, at least 64 pixels a side. Up to 8 of them are mixed, with "
            "`weights`.",
            examples=[["reference.png"]],
        ),
    ] = None,
    organ: Annotated[
        str | SkipJsonSchema[None],
        Form(
            description="Name of a preset or of a custom style, from `GET /styles`. Of a preset "
            "each tile takes one of its exemplars, chosen by the tile's seed.",
            examples=["kidney"],
        ),
    ] = None,
    styles: Annotated[
        str | SkipJsonSchema[None],
        Form(
            description="Mix of presets and custom styles: a JSON object, name to weight. The "
            "weights need not sum to 1.",
            examples=['{"kidney": 0.7, "liver": 0.3}'],
        ),
    ] = None,
    weights: Annotated[
        str | SkipJsonSchema[None],
        Form(
            description="Of several style images: a JSON list with as many numbers, in the order "
            "of the images. They need not sum to 1.",
            examples=["[0.7, 0.3]"],
        ),
    ] = None,
    seed: Annotated[
        int | SkipJsonSchema[None],
        Form(
            ge=0,
            le=MAX_SEED,
            description="Of the noise that fills in what mask and style leave open. Drawn at "
            "random and reported if absent.",
            examples=[7],
        ),
    ] = None,
    n: Annotated[
        int,
        Form(
            ge=1,
            le=MAX_TILES,
            description="How many tiles. The first uses the seed itself, every other one a seed "
            "derived from it.",
            examples=[1],
        ),
    ] = 1,
    mpp: Mpp = None,
    label_components: LabelComponents = False,
    width: Width = None,
    height: Height = None,
    deadline_s: DeadlineS = None,
) -> SynthesisForm:
    """Raises ParameterInvalid for fields that are unknown or sent twice."""
    await check_fields(request, _FIELDS, repeatable={"style"})
    return SynthesisForm(
        mask=mask,
        style_images=tuple(style or ()),
        organ=organ,
        styles=styles,
        weights=weights,
        seed=seed,
        n=n,
        mpp=mpp,
        label_components=label_components,
        mask_size=mask_size(width, height),
        deadline_s=deadline_s,
    )


async def check_fields(
    request: Request, known: Collection[str], *, repeatable: Collection[str] = ()
) -> None:
    """Raises ParameterInvalid for fields that are unknown, or sent twice and not repeatable."""
    sent = [name for name, _ in (await request.form()).multi_items()]
    unknown = sorted(set(sent) - set(known))
    if unknown:
        raise ParameterInvalid(
            f"There is no field {unknown[0]!r}; the fields are {', '.join(sorted(known))}."
        )
    twice = sorted({name for name in sent if sent.count(name) > 1} - set(repeatable))
    if twice:
        raise ParameterInvalid(f"The field {twice[0]!r} was sent twice; send it once.")


def sha256_of(upload: UploadFile) -> str:
    """Of a file that is not held in memory, and can be read again after it."""
    digest = hashlib.file_digest(upload.file, "sha256").hexdigest()  # type: ignore[arg-type]
    upload.file.seek(0)
    return digest


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler as in ``problems``. A disk that cannot take an upload, most often since
    it is full, is no fault of the form's, though FastAPI says so."""
    if not isinstance(error.__cause__, OSError):
        return await problems.on_http_exception(request, error)
    logger.warning("an upload cannot be kept: %s", error.__cause__)
    unavailable = StorageUnavailable(
        "The upload cannot be kept; try again in a moment.", retry_after_s=_RETRY_AFTER_S
    )
    return await problems.on_sian_error(request, unavailable)
