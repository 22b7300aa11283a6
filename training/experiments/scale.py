"""How large an experiment is: from minutes on two CPU cores to the published schedule."""

from dataclasses import dataclass, replace
from typing import Any

from training.config import TrainConfig
from training.methods import METHODS, Method
from training.networks import FULL_WIDTH
from training.segmentation.config import SegNetConfig

_WORDS = {"crop_px": "crop", "test_tiles": "tiles", "segnet_steps": "segnet-steps"}
"""Settings as the options of the command are named, where that differs."""


@dataclass(frozen=True)
class Scale:
    """The budget that all methods of a table share.

    width: filters where the paper's networks have 64.
    shrink_compact: the networks too that are compact as they are.
    crop_px, batch, steps: of every generator. The grid of crops has a stride of half a crop.
    bn_batches: for the batch norm statistics of the finished networks.
    test_tiles: judged tiles; None = all. test_slides: whole slides that the SegNets of table 3 are
        tested on; None = all.
    segnet_width, segnet_crop_px, segnet_steps: of every SegNet; its crops are no larger than the
        tiles.
    synthetic: tiles that each method adds to the training set in table 3; synthetic_share: of the
        crops that its SegNet sees.
    seeds: runs of a method that is repeated; others have the first only.
    note, caveat: printed with every result; the note, only if nothing was changed.
    changed: (option, value) of what differs from the scale of that name.
    """

    name: str
    width: int
    crop_px: int
    batch: int
    steps: int
    bn_batches: int
    test_tiles: int | None
    test_slides: int | None
    segnet_width: int
    segnet_crop_px: int
    segnet_batch: int
    segnet_steps: int
    synthetic: int
    synthetic_share: float
    seeds: tuple[int, ...]
    note: str
    caveat: str = ""
    shrink_compact: bool = False
    changed: tuple[tuple[str, int], ...] = ()

    @property
    def tile_px(self) -> int:
        """Side of the judged and of the synthetic tiles: that of the training crops. The networks
        that start from a learned square would stretch it in larger ones, others would not."""
        return self.crop_px

    def with_options(self, **options: Any) -> "Scale":
        """A copy with the options that are not None; its note names those that are no longer the
        scale's own."""
        given = {key: value for key, value in options.items() if value is not None}
        differing = {key: value for key, value in given.items() if value != getattr(self, key)}
        if not differing:
            return self
        changed = dict(self.changed) | differing
        said = ", ".join(f"{_WORDS.get(key, key)} {value}" for key, value in changed.items())
        return replace(self, **differing, changed=tuple(changed.items()), note=f"changed: {said}.")

    @property
    def stem(self) -> str:
        """Part of a file's name: that of the scale, and what was changed."""
        words = [f"{_WORDS.get(key, key)}{value}" for key, value in self.changed]
        return "-".join([self.name, *words])

    def train_config(self, method: str, seed: int) -> TrainConfig:
        """The run of a method of the paper's tables at this scale."""
        return self.fitted(METHODS[method], seed)

    def fitted(self, method: Method, seed: int) -> TrainConfig:
        """The run of any method at this scale."""
        width = FULL_WIDTH if method.compact and not self.shrink_compact else self.width
        return method.config.fitted(width, self.crop_px).with_options(
            style_px=self.crop_px,
            grid_stride_px=self.crop_px // 2,
            batch_size=self.batch,
            steps=self.steps,
            discriminator_width=self.width,
            bn_batches=self.bn_batches,
            bn_px=self.tile_px,
            seed=seed,
        )

    def segnet_config(self, *, augment: bool, seed: int) -> SegNetConfig:
        """A SegNet at this scale."""
        return SegNetConfig(
            width=self.segnet_width,
            crop_px=min(self.segnet_crop_px, self.tile_px),
            batch_size=self.segnet_batch,
            steps=self.segnet_steps,
            augment=augment,
            synthetic_share=self.synthetic_share,
            seed=seed,
        )

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        return self.seeds if method.repeated else self.seeds[:1]


SCALES: dict[str, Scale] = {
    "smoke": Scale(
        "smoke",
        width=8,
        crop_px=128,
        batch=2,
        steps=2,
        bn_batches=1,
        test_tiles=28,
        test_slides=2,
        segnet_width=8,
        segnet_crop_px=64,
        segnet_batch=2,
        segnet_steps=4,
        synthetic=7,
        synthetic_share=0.5,
        seeds=(0,),
        note="A check that everything runs.",
        caveat="Its numbers mean nothing.",
        shrink_compact=True,
    ),
    "cpu": Scale(
        "cpu",
        width=16,
        crop_px=128,
        batch=4,
        steps=400,
        bn_batches=16,
        test_tiles=None,
        test_slides=None,
        segnet_width=16,
        segnet_crop_px=128,
        segnet_batch=8,
        segnet_steps=1_500,
        synthetic=1_400,
        synthetic_share=0.5,
        seeds=(0, 1, 2),
        note="What two CPU cores can pay, the same number of crops and steps for every method: a "
        "46th of the published number of crops, of half their side, at a quarter of the width.",
        caveat="Far too short for the published quality.",
    ),
    # 50 epochs of the 1,470 crops of MoNuSeg's 30 training slides at batch 8.
    "paper": Scale(
        "paper",
        width=64,
        crop_px=256,
        batch=8,
        steps=9_200,
        bn_batches=32,
        test_tiles=None,
        test_slides=None,
        segnet_width=64,
        segnet_crop_px=256,
        segnet_batch=8,
        segnet_steps=9_200,
        synthetic=5_000,
        # Their part in the union with the 1,470 crops.
        synthetic_share=5_000 / 6_470,
        seeds=(0, 1, 2),
        note="The schedule of the paper.",
    ),
}
