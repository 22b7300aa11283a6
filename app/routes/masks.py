"""POST /masks: random instance masks; POST /masks/convert: one format to another."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.connections import MOST_FILES
from app.decoding import decoding
from app.forms import MASK_ERRORS, Height, LabelComponents, Width, check_fields, mask_size
from app.problems import documented
from app.service import ServiceDep
from model import errors
from model.formats import MEDIA_TYPES, SUFFIXES, MaskFormat, read_mask, write_mask
from model.mask import LARGEST_MASK_PX
from model.nuclei import SMALLEST_PX
from model.nuclei_statistics import POOLED
from model.tiling import LARGEST_TILED_PX
from worker.random_masks import MaskRequest
from worker.request import MAX_SEED, draw_seed

_FILE: dict[str, Any] = {
    "description": "The mask.",
    "content": {
        media_type: {"schema": {"type": "string", "contentMediaType": media_type}}
        for media_type in sorted(set(MEDIA_TYPES.values()))
    },
}
_SEED_HEADER = {"X-Seed": {"description": "Seed of the mask.", "schema": {"type": "integer"}}}
_CONVERT_FIELDS = ("mask", "format", "label_components", "width", "height")
_SIDE = f"pixels, {SMALLEST_PX} to {LARGEST_MASK_PX}"

router = APIRouter(tags=["masks"], form_limits={"max_files": MOST_FILES})


class RandomMask(BaseModel):
    """What a random mask should be like."""

    model_config = ConfigDict(extra="forbid")

    organ: str = Field(
        POOLED,
        description="Whose nuclei it has: size, number, shape, clusters and contacts as measured "
        "on MoNuSeg's training slides; `pooled` is all organs together.",
        examples=["kidney"],
    )
    statistics: dict[str, float] = Field(
        default_factory=dict,
        description="Values that replace the organ's: `density` (nuclei per 256 x 256 px), `area` "
        "(median, px), `touching` (share of nuclei), `elongation` and others; see "
        "docs/masks.md.",
        examples=[{"density": 40, "touching": 0.3}],
    )
    width: int = Field(256, ge=SMALLEST_PX, le=LARGEST_MASK_PX, description=_SIDE)
    height: int = Field(256, ge=SMALLEST_PX, le=LARGEST_MASK_PX, description=_SIDE)
    seed: int | SkipJsonSchema[None] = Field(
        None, ge=0, le=MAX_SEED, description="Drawn at random and reported if absent.", examples=[7]
    )
    format: MaskFormat = Field("png", description="Of the file.", examples=["png"])


@router.post(
    "/masks",
    summary="Draw a random mask",
    response_class=Response,
    responses={
        200: {**_FILE, "headers": _SEED_HEADER},
        **documented(
            errors.ParameterInvalid,
            errors.MaskUnwritable,
            errors.KeyInvalid,
            errors.QueueFull,
            errors.RateLimited,
            errors.UploadTooLarge,
            errors.StoreUnavailable,
            400,
            415,
            500,
        ),
    },
)
async def draw_mask(request: Request, service: ServiceDep, wish: RandomMask) -> Response:
    """An instance mask with nuclei as those of an organ.

    The same organ, statistics, size and seed give the same mask.

        curl -H 'Content-Type: application/json' -d '{"organ": "kidney"}' \\
            localhost:8000/masks -o mask.png
    """
    drawn = MaskRequest(
        height=wish.height,
        width=wish.width,
        seed=draw_seed() if wish.seed is None else wish.seed,
        organ=wish.organ,
        statistics=wish.statistics,
    )
    async with decoding(request, service):
        data = await anyio.to_thread.run_sync(_drawn, drawn, wish.format)
    response = _file(data, wish.format, name=f"{drawn.organ}-{drawn.seed}")
    response.headers["X-Seed"] = str(drawn.seed)
    return response


@router.post(
    "/masks/convert",
    summary="Read a mask in any format, write it in another",
    response_class=Response,
    responses={
        200: _FILE,
        **documented(
            errors.ParameterInvalid,
            errors.UploadTooLarge,
            *MASK_ERRORS,
            errors.MaskUnwritable,
            errors.KeyInvalid,
            errors.QueueFull,
            errors.RateLimited,
            errors.StoreUnavailable,
            errors.StorageUnavailable,
            400,
            415,
            500,
        ),
    },
)
async def convert_mask(
    request: Request,
    service: ServiceDep,
    mask: Annotated[
        UploadFile,
        File(description="Instance mask in any format of docs/masks.md.", examples=["mask.png"]),
    ],
    format: Annotated[MaskFormat, Form(description="Of the answer.", examples=["geojson"])] = "png",
    label_components: LabelComponents = False,
    width: Width = None,
    height: Height = None,
) -> Response:
    """The same nuclei with the same ids in another format.

    curl -F mask=@outlines.geojson -F format=tiff localhost:8000/masks/convert -o mask.tif
    """
    await check_fields(request, _CONVERT_FIELDS)
    size = mask_size(width, height)
    async with decoding(request, service):
        data = await anyio.to_thread.run_sync(_converted, mask, format, label_components, size)
    await mask.close()
    return _file(data, format, name="mask")


def _drawn(wish: MaskRequest, format: MaskFormat) -> bytes:
    return write_mask(wish.draw(max_side=LARGEST_MASK_PX), format)


def _converted(
    mask: UploadFile, format: MaskFormat, label_components: bool, size: tuple[int, int] | None
) -> bytes:
    labels = read_mask(
        mask.file.read(),
        label_components=label_components,
        max_side=LARGEST_TILED_PX,
        size=size,
    )
    return write_mask(labels, format)


def _file(data: bytes, format: MaskFormat, *, name: str) -> Response:
    filename = f"{name}{SUFFIXES[format]}"
    return Response(
        data,
        media_type=MEDIA_TYPES[format],
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )
