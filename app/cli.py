"""The ``sian`` command.

Heavy imports are inside the commands: ``sian --help`` loads neither torch nor FastAPI.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Never

import typer
from typer.exceptions import TyperException

from app.cli_files import keep_inputs, read, write
from app.jobs_cli import jobs
from model.errors import (
    MaskMissing,
    ParameterInvalid,
    SettingsInvalid,
    SianError,
    StyleMissing,
    TrainingError,
)

app = typer.Typer(
    name="sian",
    help="Annotated H&E on demand: synthetic tiles whose nuclei lie where an instance mask has "
    "them, in the stain of a reference image or an organ preset.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(jobs, name="jobs")

_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Of a command that hands its arguments, ``--help`` among them, to another."""

CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        help="The .safetensors of a checkpoint.",
        show_default="SIAN_CHECKPOINT, or the released one",
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, mps, cuda or cuda:N.", show_default="SIAN_DEVICE, or cpu")
]


def main() -> None:
    """Entry point: an error is one line on stderr and its exit code. Alone it is ``--help``."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="sian", standalone_mode=False) or 0)
    except SianError as error:
        from app.problems import OUTCOMES

        _fail(str(error), OUTCOMES[type(error)].exit_code)
    except TyperException as error:
        _fail(f"{error.format_message().rstrip('.')}. {_where_to_read(error)}", error.exit_code)


def _fail(message: str, exit_code: int) -> Never:
    print(f"sian: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(exit_code)


def _where_to_read(error: TyperException) -> str:
    context: typer.Context | None = getattr(error, "ctx", None)
    return f"See '{'sian' if context is None else context.command_path} --help'."


def _print_version(wanted: bool) -> None:
    if wanted:
        from model.version import code_version

        print(f"sian {code_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Options that come before the command."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
) -> None:
    """Start the web service.

    All in one process, or the HTTP front end of a deployment if SIAN_BROKER_URL is set.

    The settings are environment variables, see docs/http-api.md: SIAN_CHECKPOINT,
    SIAN_DATA_DIR, SIAN_BROKER_URL, SIAN_ARTIFACTS_URL, SIAN_DEVICE, SIAN_PRECISION,
    SIAN_THREADS, SIAN_MAX_BATCH, SIAN_MAX_WAIT_MS, SIAN_STORAGE_WAIT_S, SIAN_QUEUE_LIMIT,
    SIAN_RETENTION_HOURS, SIAN_MAX_UPLOAD_MB, SIAN_MAX_STYLE_MPX, SIAN_MAX_STYLES,
    SIAN_MAX_DATASET_TILES, SIAN_RESPONSE_WAIT_S, SIAN_API_KEYS, SIAN_ALLOW_ANONYMOUS,
    SIAN_RATE_LIMIT, SIAN_TRUSTED_PROXIES, SIAN_DRAIN_S, SIAN_LOG_FORMAT.
    """
    from app.server import run
    from app.settings import Settings

    settings = Settings.load(checkpoint=checkpoint, device=device)
    run(settings, host=host, port=port)


@app.command()
def worker(
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Start nothing; exit with 0 if the worker on this host is warm and makes "
            "progress. For health checks of containers.",
        ),
    ] = False,
) -> None:
    """Start a worker of a deployment.

    It takes jobs from Redis (SIAN_BROKER_URL) and runs them on one device. The settings are
    environment variables, see docs/http-api.md; front ends and workers share SIAN_BROKER_URL,
    SIAN_ARTIFACTS_URL (or the same absolute SIAN_DATA_DIR), SIAN_CHECKPOINT, SIAN_MAX_STYLES and
    SIAN_RETENTION_HOURS. SIGTERM lets the batch on the device finish; the rest goes back to the
    queue.
    """
    from app import deployment, logs
    from app.settings import Settings

    settings = Settings.load(checkpoint=checkpoint, device=device)
    if settings.broker_url is None:
        raise SettingsInvalid(
            "SIAN_BROKER_URL is not set; a worker needs the Redis that its front ends use, such "
            "as redis://localhost:6379/0. 'sian serve' alone needs neither."
        )
    if check:
        _check_worker(settings.broker_url)
        return
    logs.configure(settings.log_format)
    sys.exit(deployment.run_worker(settings, settings.broker_url))


def _check_worker(broker_url: str) -> None:
    from worker.node import check
    from worker.registry import WorkerRegistry

    registry = WorkerRegistry(broker_url)
    health = check(registry)
    registry.close()
    if not health.is_ready:
        print(f"sian: {health.reason}", file=sys.stderr)
        raise typer.Exit(75)


@app.command()
def synthesize(
    mask: Annotated[
        Path, typer.Option(help="Instance mask in any format of docs/masks.md; label PNG or TIFF.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="PNG to write, or for a mask above 1024 px a side, at the checkpoint's scale, "
            "TIFF (.tif); its manifest goes beside it as .json. With --n above 1 the tiles are "
            "numbered: tile.png becomes tile-0.png, tile-1.png, ..."
        ),
    ],
    style: Annotated[
        list[Path] | None,
        typer.Option(
            help="Reference image: PNG, JPEG or TIFF, 64 px a side or more. Up to 8 times, to mix "
            "them with --weights."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Of several --style in their order, as a JSON list: [0.7, 0.3]."),
    ] = None,
    organ: Annotated[str | None, typer.Option(help="Preset, see 'sian styles'.")] = None,
    styles: Annotated[
        str | None, typer.Option(help='Mix of presets, as JSON: {"kidney": 0.7, "liver": 0.3}.')
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="0 to 2**63 - 1.", show_default="drawn at random")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="How many tiles, 1 to 16.")] = 1,
    mpp: Annotated[
        float | None,
        typer.Option(
            help="Micrometres per pixel of mask and style image.",
            show_default="the checkpoint's",
        ),
    ] = None,
    label_components: Annotated[
        bool,
        typer.Option(
            "--label-components", help="For a binary mask: every connected component a nucleus."
        ),
    ] = False,
    mask_size: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Of the image that the outlines lie in, for GeoJSON and XML, which do not say it.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
) -> None:
    """Make tiles from a mask, without a server.

    Give exactly one of --style (several with --weights), --organ and --styles. The same mask,
    style and seed give the same bytes, here and from the service.
    """
    from app.masks_cli import parse_size
    from app.network import load_network
    from app.settings import Settings
    from worker import synthesis
    from worker.request import SynthesisRequest, draw_seed, sha256
    from worker.style import Style
    from worker.work import work_on

    if out.suffix.lower() not in (".png", ".tif"):
        raise ParameterInvalid(
            f"--out {out}: tiles are PNG files, those of masks above 1024 px a side, at the "
            "checkpoint's scale, TIFF; give it the suffix .png or .tif."
        )
    settings = Settings.load(checkpoint=checkpoint, device=device)
    mask_bytes = read(mask, "mask", MaskMissing)
    images = [read(path, "style image", StyleMissing) for path in style or ()]
    request = SynthesisRequest(
        mask_sha256=sha256(mask_bytes),
        style=Style.of(
            name=organ,
            weights=styles,
            images_sha256=[sha256(image) for image in images],
            image_weights=weights,
        ),
        seed=seed if seed is not None else draw_seed(),
        n=n,
        mpp=mpp,
        label_components=label_components,
        mask_size=None if mask_size is None else parse_size(mask_size, "--mask-size")[::-1],
    )
    paths = [out if n == 1 else out.with_stem(f"{out.stem}-{index}") for index in range(n)]
    keep_inputs([mask, *(style or ())], [*paths, *(path.with_suffix(".json") for path in paths)])
    synthesizer = load_network(settings)
    work = work_on(synthesizer, request, mask_bytes, images)
    if out.suffix.lower() != work.suffix:
        raise ParameterInvalid(
            f"--out {out}: the tile of a mask of this size is a {work.suffix} file; give it that "
            "suffix."
        )
    for path, tile in zip(paths, synthesis.paint(synthesizer, work), strict=True):
        write(path, tile.data)
        write(path.with_suffix(".json"), tile.manifest)
        print(f"{path} (seed {tile.seed})")


@app.command()
def masks(
    out: Annotated[
        Path,
        typer.Option(
            help="File to write; its suffix says the format, see docs/masks.md. With --count above "
            "1 the masks are numbered: mask.png becomes mask-0.png, mask-1.png, ..."
        ),
    ],
    organ: Annotated[
        str, typer.Option(help="Whose nuclei they have; pooled is all organs together.")
    ] = "pooled",
    size: Annotated[
        str, typer.Option(metavar="SIDE | WIDTHxHEIGHT", help="Pixels, 64 to 8192 a side.")
    ] = "256",
    statistics: Annotated[
        str | None,
        typer.Option(help='Values that replace the organ\'s, as JSON: {"density": 40}.'),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="0 to 2**63 - 1.", show_default="drawn at random")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many masks.")] = 1,
) -> None:
    """Draw random instance masks with nuclei as those of an organ.

    The same organ, statistics, size and seed give the same mask, here and from the service.
    """
    from app import masks_cli

    masks_cli.draw(out, organ=organ, size=size, statistics=statistics, seed=seed, count=count)


@app.command()
def dataset(
    out: Annotated[
        Path, typer.Option(help="Folder; one that holds a part of this dataset is gone on with.")
    ],
    count: Annotated[int, typer.Option(min=1, help="How many tiles.")],
    organs: Annotated[
        str | None,
        typer.Option(
            help='Comma separated, or JSON with weights: {"kidney": 2, "liver": 1}.',
            show_default="all presets whose nuclei have statistics, alike",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="SIDE | WIDTHxHEIGHT", help="Pixels, 64 to 1024 a side.")
    ] = "256",
    seed: Annotated[
        int | None,
        typer.Option(help="0 to 2**63 - 1.", show_default="the folder's, or drawn at random"),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            help="Of the annotations beside the label PNG, comma separated: coco, pannuke, "
            "geojson, mat, xml, tiff, npy."
        ),
    ] = "coco",
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
) -> None:
    """Make a dataset: tiles, their masks and annotations, without a server.

    Stop at any time: the same command goes on from there. The same options and checkpoint give
    the same files.
    """
    from app import dataset_cli

    dataset_cli.make(
        out, count=count, organs=organs, size=size, seed=seed, formats=formats,
        checkpoint=checkpoint, device=device,
    )  # fmt: skip


@app.command()
def styles(checkpoint: CheckpointOption = None) -> None:
    """List the organ presets of a checkpoint."""
    from app.settings import Settings
    from model.checkpoint import verify
    from model.styles import StyleBank

    settings = Settings.load(checkpoint=checkpoint)
    card = verify(settings.checkpoint)
    bank = StyleBank.load(settings.checkpoint)
    print(f"{card.name}: {len(bank.organs)} presets, style vectors of {card.style_dim} numbers")
    for organ in bank.organs:
        print(f"{organ:<12} {len(bank.exemplars(organ)):>3} exemplars")


@app.command(add_help_option=False, context_settings=_ANY_ARGUMENTS)
def evaluate(context: typer.Context) -> None:
    """Measure a checkpoint on test slides."""
    _forward(context, "training.evaluate", "evaluate")


@app.command(add_help_option=False, context_settings=_ANY_ARGUMENTS)
def train(context: typer.Context) -> None:
    """Train a checkpoint."""
    _forward(context, "training.train", "train")


@app.command(add_help_option=False, context_settings=_ANY_ARGUMENTS)
def experiment(context: typer.Context) -> None:
    """Make the paper's tables and figures."""
    _forward(context, "training.experiment", "experiment")


def _forward(context: typer.Context, module: str, function: str) -> None:
    """Run a command of the training package, which imports torch, with the arguments given."""
    try:
        command: Callable[..., None] = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"sian {function} needs the package {error.name}; install it with: .venv/bin/pip "
            "install --constraint constraints.txt --editable '.[engine,training]'"
        ) from None
    forwarded = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    forwarded.command()(command)
    raise typer.Exit(forwarded(context.args, prog_name=f"sian {function}", standalone_mode=False))


if __name__ == "__main__":
    main()
