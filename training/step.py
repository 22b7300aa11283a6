"""One training step: generator with encoder, then discriminator.

Reads top to bottom as Sec. 2.1 of the paper: encode the style, synthesize, the losses, update;
then the discriminators' loss, update. A method of the tables is a choice of networks, weights
and rates; the step is the same for all.
"""

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.pixels import Module, channels_last, place, u8_to_pm1
from training import losses
from training.adversaries import Adversaries, Pair, Terms
from training.config import TrainConfig
from training.distributed import Process, average_gradients, broadcast, synchronise_batch_norm
from training.ema import Ema
from training.networks import build
from training.noise import draw_noise
from training.spectral import add_spectral_norm
from training.speed import autocast
from training.start import Start
from training.vgg import Vgg19

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Crops:
    """A batch on the device: layout (B C H W), real and style crops (B 3 H W and B 3 h w) in
    [-1, 1], their pixels of nuclei (B H W and B h w), and nuclei and classes (B H W) or None."""

    layout: Tensor
    real: Tensor
    style: Tensor
    foreground: Tensor
    style_foreground: Tensor
    nuclei: Tensor | None
    classes: Tensor | None

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> "Crops":
        there = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        return cls(
            channels_last(there["layout"]),
            u8_to_pm1(there["image"]),
            u8_to_pm1(there["style"]),
            there["foreground"],
            there["style_foreground"],
            there.get("nuclei"),
            there["classes"].long() if "classes" in there else None,
        )


class Stepper:
    """The networks, their optimisers and averages, and the step that moves them.

    start: gives the first generator and encoder; without one they are random.
    """

    def __init__(
        self, config: TrainConfig, vgg: Vgg19, process: Process, start: Start | None = None
    ) -> None:
        self.config, self.process, self.start = config, process, start
        torch.manual_seed(config.seed)
        generator, encoder = start.networks() if start else build(config.network)
        if config.generator_spectral_norm:
            trained = start is not None
            generator = add_spectral_norm(generator, trained=trained)
            encoder = add_spectral_norm(encoder, trained=trained)
        self.generator = self._place(generator)
        self.encoder = self._place(encoder)
        self.discriminators = self._place(Adversaries(config))
        self.vgg = place(vgg, process.device)
        self.ema_generator = Ema(self.generator, config.ema_decay)
        self.ema_encoder = Ema(self.encoder, config.ema_decay)
        self.optimiser_g = self._adam(self.generator, self.encoder)
        self.optimiser_d = self._adam(self.discriminators)

    def _place(self, module: Module) -> Module:
        module = synchronise_batch_norm(place(module, self.process.device), self.process)
        broadcast(module, self.process)
        return module

    def _adam(self, *modules: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            [parameter for module in modules for parameter in module.parameters()],
            betas=(self.config.beta1, self.config.beta2),
            fused=self.process.device.type == "cuda",
        )

    def __call__(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Move the networks by one step; returns every loss term, detached.

        batch: as ``CropDataset`` gives it, stacked.
        Randomness depends on (seed, step, rank) alone, so a resumed run repeats it.
        """
        crops = Crops.of(batch, self.process.device)
        source = self._random_source(step)
        torch.manual_seed(source.initial_seed())  # for dropout
        self._set_rates(step)
        pair, terms = self._generator_step(crops, source)
        terms |= self._discriminator_step(pair.detached(), source, step)
        self.ema_generator.update(self.generator, step)
        self.ema_encoder.update(self.encoder, step)
        return terms

    def _generator_step(self, crops: Crops, source: torch.Generator) -> tuple[Pair, Terms]:
        config, layout = self.config, crops.layout
        self.discriminators.requires_grad_(False)
        with self._autocast():
            drawn = self._normal((layout.shape[0], config.network.style_features), source)
            style, mean, log_variance = self.encoder.sample(crops.style, drawn)
            noise = draw_noise(
                self.generator, layout, crops.nuclei, lambda shape: self._normal(shape, source)
            )
            fake = self.generator(layout, style, noise)
            pair = self._pair(crops, fake)
            terms = self.discriminators.of_generator(pair, source)
            terms |= self._compared(pair, crops) | self._of_style(mean, log_variance, fake)
        total = terms["adversarial"] + sum(
            getattr(config.weights, name) * value
            for name, value in terms.items()
            if name != "adversarial"
        )
        self._update(self.optimiser_g, total)
        self.discriminators.requires_grad_(True)
        return pair, {name: value.detach() for name, value in terms.items()}

    def _compared(self, pair: Pair, crops: Crops) -> Terms:
        """Terms that compare the synthetic crop with the real one, or with the style crop."""
        weights, terms = self.config.weights, {}
        if weights.perceptual:
            terms["perceptual"] = losses.perceptual(pair.real_taps, pair.fake_taps)
        if weights.colour:
            terms["colour"] = losses.stain_moments(
                pair.fake, crops.foreground, crops.style, crops.style_foreground
            )
        if weights.reconstruction:
            terms["reconstruction"] = losses.reconstruction(pair.fake, pair.real)
        if weights.sharpness:
            terms["sharpness"] = losses.sharpness(pair.fake, pair.real, crops.layout)
        return terms

    def _of_style(self, mean: Tensor, log_variance: Tensor, fake: Tensor) -> Terms:
        """Terms of the style that was read in the style crop."""
        weights, terms = self.config.weights, {}
        if weights.kld:
            terms["kld"] = losses.kl_divergence(
                mean, log_variance, self.config.kld_reduction, processes=self.process.world
            )
        if weights.regression:
            answer, _, _ = self.encoder(fake)
            terms["regression"] = losses.style_regression(answer, mean)
        return terms

    def _pair(self, crops: Crops, fake: Tensor) -> Pair:
        """Real and synthetic crops, with the features of VGG19 where a loss asks for them."""
        weights, real = self.config.weights, crops.real
        # A discriminator is shown no more of the layout than the generator.
        condition = crops.layout[:, : self.config.network.condition_channels]
        if not (weights.perceptual or weights.projected or weights.segmentation):
            return Pair(real, fake, [], [], condition, crops.classes)
        with torch.no_grad():
            real_taps = self.vgg(real)
        return Pair(real, fake, real_taps, self.vgg(fake), condition, crops.classes)

    def _discriminator_step(self, pair: Pair, source: torch.Generator, step: int) -> Terms:
        with self._autocast():
            terms = self.discriminators.of_themselves(pair, source, step)
        self._update(self.optimiser_d, torch.stack(list(terms.values())).sum())
        return {name: value.detach() for name, value in terms.items()}

    def _set_rates(self, step: int) -> None:
        """Constant, then falling linearly to 0 at the end of the run."""
        config = self.config
        first = config.decay_from * config.steps
        factor = min(1.0, (config.steps - step) / max(config.steps - first, 1.0))
        for optimiser, rate in (
            (self.optimiser_g, config.lr_generator),
            (self.optimiser_d, config.lr_discriminator),
        ):
            for group in optimiser.param_groups:
                group["lr"] = factor * rate

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(optimiser.param_groups[0]["params"], self.process)
        optimiser.step()

    def _normal(self, shape: tuple[int, ...], source: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=source, device=self.process.device)

    def _random_source(self, step: int) -> torch.Generator:
        key = f"{self.config.seed}:{step}:{self.process.rank}".encode()
        seed = int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1
        return torch.Generator(self.process.device).manual_seed(seed)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.config.precision, self.process.device)

    def parts(self) -> dict[str, nn.Module]:
        """Everything with a state dict that a resumed run needs."""
        return {
            "generator": self.generator,
            "encoder": self.encoder,
            "discriminators": self.discriminators,
            "ema_generator": self.ema_generator.module,
            "ema_encoder": self.ema_encoder.module,
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimiser_g": self.optimiser_g, "optimiser_d": self.optimiser_d}
