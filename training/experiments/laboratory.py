"""What the tables are made from: slides, trained methods, synthetic tiles, SegNets.

Everything is made when first asked for and kept in a folder, so that tables share it and an
experiment that was stopped goes on where it was:

    FOLDER/<method>-s<seed>/            the run of a generator
    FOLDER/<method>-s<seed>/<set>/      tiles it drew
    FOLDER/checkpoint-<sha>-s<seed>/    tiles of a checkpoint that was given, likewise
    FOLDER/segnet-<set>-s<seed>/        the run of a SegNet

A run that was made with other options is refused, tiles of another origin are drawn again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import sha256_of
from model.errors import RunBusy
from training.config import TrainConfig
from training.data.crops import LoadedSlide, load_slides
from training.data.monuseg import Slide
from training.digest import digest
from training.evaluation.protocol import TileModel
from training.evaluation.tiles import Plan, Tile, cut_between, cut_tiles, make_plan
from training.experiments.given import GIVEN, Given
from training.experiments.identity import NOTE_NAME, Origin, claim, config_in, made_by
from training.experiments.pictures import Pictures
from training.experiments.scale import Scale
from training.experiments.sitting import Sitting
from training.generator import train_generator
from training.loop import Intervals
from training.methods import METHODS, Method
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated
from training.segmentation.segmenter import Segmenter
from training.segmentation.train import train_segnet
from training.sitting import alone_in, progress_bar
from training.state import STATE_NAME
from training.trained import RESULT_NAME, finish, is_finished, load_result
from training.vgg import Vgg19

ImageU8 = NDArray[np.uint8]


@dataclass(frozen=True)
class TileSet:
    """Tiles to draw: ``draw(model, k)`` is tile k.

    name: of its folder. origins: a digest for each tile, of the mask, style and seed it is drawn
    from.
    """

    name: str
    origins: Sequence[str]
    draw: Callable[[TileModel, int], ImageU8]


@dataclass(frozen=True)
class Added:
    """Synthetic images for a SegNet. identity: a digest of them. images: makes them."""

    identity: str
    images: Callable[[], Sequence[Annotated]]


class Laboratory:
    """Slides and weights to work with, a scale, and the folder that keeps what was made.

    Raises (all methods that make something): RunUnfinished when the sitting is over, RunStopped
    when it was stopped; what is done by then is kept. ResumeMismatch when the folder keeps a run
    of other options. FileUnwritable, as when the disk is full.
    """

    def __init__(
        self,
        slides: Sequence[Slide],
        vgg: Path,
        folder: Path,
        scale: Scale,
        sitting: Sitting,
        *,
        methods: Mapping[str, Method] = METHODS,
        given: Given | None = None,
    ) -> None:
        self.folder, self.scale, self.sitting = folder, scale, sitting
        self.found, self.given = list(slides), given
        self.methods = {**methods, GIVEN: given.method} if given else methods
        self._vgg_path = vgg
        self._model: tuple[str, int, TileModel] | None = None
        self._digests: dict[Path, str] = {}

    @cached_property
    def vgg(self) -> Vgg19:
        return Vgg19.load(self._vgg_path)

    @cached_property
    def training_slides(self) -> list[LoadedSlide]:
        smallest = self.scale.train_config("sian", 0).smallest_slide_px
        return load_slides([s for s in self.found if s.split == "train"], smallest_px=smallest)

    @cached_property
    def training_data(self) -> str:
        """A digest of the training slides."""
        return _digest_of([slide for slide in self.found if slide.split == "train"])

    @cached_property
    def test_slides(self) -> list[Slide]:
        """Those that a SegNet is tested on whole."""
        return [slide for slide in self.found if slide.split == "test"][: self.scale.test_slides]

    @cached_property
    def test_data(self) -> str:
        """A digest of these."""
        return _digest_of(self.test_slides)

    @cached_property
    def training_tiles(self) -> list[Tile]:
        return cut_tiles([s for s in self.found if s.split == "train"], self.scale.tile_px)

    @cached_property
    def test_tiles(self) -> list[Tile]:
        return cut_tiles([s for s in self.found if s.split == "test"], self.scale.tile_px)

    @cached_property
    def plan(self) -> Plan:
        """The judged test tiles, and which tile of its slide lends each a style."""
        return make_plan(self.test_tiles, seed=0, limit=self.scale.test_tiles)

    @cached_property
    def judged(self) -> list[Tile]:
        return [self.test_tiles[index] for index in self.plan.tiles]

    @cached_property
    def beside_judged(self) -> list[Tile]:
        """Tiles cut between the test tiles: of every slide as many as are judged, or all it has."""
        draw = np.random.default_rng(0)
        found: list[Tile] = []
        for slide in self.found:
            wanted = sum(tile.slide_id == slide.id for tile in self.judged)
            between = cut_between([slide], self.scale.tile_px) if wanted else []
            chosen = draw.choice(len(between), min(wanted, len(between)), replace=False)
            found += [between[k] for k in sorted(chosen)]
        return found

    def label(self, method: str) -> str:
        """The method's name in those of files and folders."""
        given = self._given(method)
        return given.label if given else method

    def _given(self, method: str) -> Given | None:
        return self.given if method == GIVEN else None

    def run(self, method: str, seed: int) -> Path:
        return self.folder / f"{self.label(method)}-s{seed}"

    def check(self, method: str, seed: int) -> None:
        """Raises ResumeMismatch when the folder keeps a run of other options under this name, which
        ``train`` would find only when it comes to it."""
        run = self.run(method, seed)
        before = unnoted(run)
        if not self._given(method) and ((run / NOTE_NAME).is_file() or before):
            claim(run, *self._made_from(method, seed), unnoted=before)

    def check_all(self, methods: Sequence[str]) -> None:
        """``check`` of the methods with all their seeds. Raises what it raises."""
        for method in methods:
            for seed in self.scale.seeds_of(self.methods[method]):
                self.check(method, seed)

    def _made_from(self, method: str, seed: int) -> tuple[TrainConfig, Origin]:
        config = self.scale.fitted(self.methods[method], seed)
        config = replace(config, precision=self.sitting.precision)
        return config, {"training_slides": self.training_data}

    def train(self, method: str, seed: int) -> Path:
        """Train a method to its end; returns the file of its networks."""
        if given := self._given(method):
            return given.path
        run, (config, others) = self.run(method, seed), self._made_from(method, seed)
        result = run / RESULT_NAME
        if not is_finished(result, config):
            self.sitting.go_on(f"the training of {method} with seed {seed}")
            with alone_in(run):
                if not is_finished(result, config):  # as another process may have done by now
                    before, where = unnoted(run), self.sitting.trains
                    claim(run, config, others, unnoted=before, working=where)
                    self._train(method, config, run)
        claim(run, config, others, unnoted=unnoted(run))
        _forget_state(run)
        return result

    def _train(self, method: str, config: TrainConfig, run: Path) -> None:
        stepper, progress = train_generator(
            config,
            self.training_slides,
            self.vgg,
            run,
            self.sitting.process,
            workers=self.sitting.workers,
            intervals=Intervals(minutes=self.sitting.minutes_left),
            title=f"{method} s{config.seed}",
        )
        if progress.step < config.steps:
            raise self.sitting.ended(
                f"at step {progress.step} of {config.steps} of the training of {method} with seed "
                f"{config.seed}"
            )
        finish(method, run, stepper, progress, self.training_slides)

    def model(self, method: str, seed: int) -> TileModel:
        """A method after its training, ready to synthesize."""
        if self._model is None or self._model[:2] != (method, seed):
            self._model = None  # one at a time: a device holds few networks of full width
            device = str(self.sitting.process.device)
            self._model = (method, seed, load_result(self.train(method, seed), device=device))
        return self._model[2]

    def facts(self, method: str, seeds: Sequence[int]) -> dict[str, Any]:
        """For a row: what trained the method with each seed, and where, or what is known of the
        checkpoint that was given."""
        if given := self._given(method):
            return {GIVEN: given.facts}
        return dict(made_by([self.run(method, seed) for seed in seeds]))

    def drawn(self, method: str, seed: int, tiles: TileSet) -> Pictures:
        """A set of tiles of a method, those that are there and those that are to be drawn."""
        network = self.digest_of(self.train(method, seed))
        origins = [digest(network, origin) for origin in tiles.origins]
        folder, title = self.run(method, seed) / tiles.name, f"{method} s{seed}: {tiles.name}"
        return Pictures(folder, origins, title)

    def tiles(self, method: str, seed: int, tiles: TileSet) -> Pictures:
        """A set of tiles of a method; those that are not there yet are drawn."""
        drawn = self.drawn(method, seed, tiles)
        missing = [k for k in range(len(drawn)) if not drawn.has(k)]
        done = len(drawn) - len(missing)
        with progress_bar(drawn.title, len(drawn), done, shown=bool(missing)) as bar:
            for k in missing:
                self.sitting.go_on(f"the tiles {tiles.name} of {method}")
                drawn.keep(k, tiles.draw(self.model(method, seed), k))
                done += 1
                bar(done, None)
        return drawn

    def digest_of(self, path: Path) -> str:
        """sha256 of a finished network's file."""
        if path not in self._digests:
            self._digests[path] = sha256_of(path)
        return self._digests[path]

    def segnet(self, name: str, seed: int, *, augment: bool, added: Added | None = None) -> Path:
        """The file of the SegNet ``name``, trained on the training slides, and on what is ``added``
        to them, if it is not there yet."""
        run = self.folder / f"segnet-{name}-s{seed}"
        result = run / RESULT_NAME
        config = self.scale.segnet_config(augment=augment, seed=seed)
        config = replace(config, precision=self.sitting.precision)
        tiles = added.identity if added else None
        others = {"training_slides": self.training_data, "synthetic_tiles": tiles}
        unknown = "unknown" if added else None
        if not result.is_file():
            self.sitting.go_on(f"the training of SegNet {name}")
            with alone_in(run):
                if not result.is_file():  # as another process may have written it by now
                    before, where = unnoted(run, synthetic_tiles=unknown), self.sitting.trains
                    claim(run, config, others, unnoted=before, working=where)
                    self._train_segnet(name, config, added.images() if added else [], run)
        claim(run, config, others, unnoted=unnoted(run, synthetic_tiles=unknown))
        _forget_state(run)
        return result

    def segmenter(self, path: Path) -> Segmenter:
        """A finished SegNet, ready to be used."""
        return Segmenter.load(path, device=str(self.sitting.process.device))

    def _train_segnet(
        self, name: str, config: SegNetConfig, added: Sequence[Annotated], run: Path
    ) -> None:
        self.sitting.go_on(f"the training of SegNet {name}")
        segmenter = train_segnet(
            config,
            [Annotated(slide.image_u8, slide.labels) for slide in self.training_slides],
            run,
            self.sitting.process,
            added=added,
            workers=self.sitting.workers,
            intervals=Intervals(minutes=self.sitting.minutes_left),
            title=f"segnet {name} s{config.seed}",
        )
        if segmenter is None:
            raise self.sitting.ended(f"before the training of SegNet {name} was finished")
        segmenter.save(run / RESULT_NAME)


def _forget_state(run: Path) -> None:
    """A finished run is never continued, and its state is several times as large as its result."""
    with suppress(RunBusy):  # another process, which is at this very point
        if (run / STATE_NAME).is_file():
            with alone_in(run):
                (run / STATE_NAME).unlink(missing_ok=True)


def _digest_of(slides: Sequence[Slide]) -> str:
    return digest([[s.id, sha256_of(s.image_path), sha256_of(s.labels_path)] for s in slides])


def unnoted(run: Path, **others: str | None) -> Origin | None:
    """What a run made before there were notes tells of itself."""
    for name in (STATE_NAME, RESULT_NAME):
        config = config_in(run / name)
        if config is not None:
            return {"config": config, **others}
    return None
