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
from training.config import TrainConfig
from training.discriminator import FeatureDiscriminator, MultiScaleDiscriminator
from training.distributed import Process, average_gradients, broadcast, synchronise_batch_norm
from training.ema import Ema
from training.networks import build
from training.spectral import add_spectral_norm
from training.speed import autocast
from training.vgg import Taps, Vgg19

Batch = dict[str, Tensor]
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Pair:
    """A real crop and the synthetic one made for it: images B 3 H W, and their VGG19 features.

    Features of the real crop carry no gradient, those of the synthetic one do.
    """

    real: Tensor
    fake: Tensor
    real_taps: Taps
    fake_taps: Taps

    def detached(self) -> "Pair":
        taps = [tap.detach() for tap in self.fake_taps]
        return Pair(self.real, self.fake.detach(), self.real_taps, taps)


class Stepper:
    """The networks, their optimisers and averages, and the step that moves them."""

    def __init__(self, config: TrainConfig, vgg: Vgg19, process: Process) -> None:
        self.config, self.process = config, process
        torch.manual_seed(config.seed)
        generator, encoder = build(config.network)
        if config.generator_spectral_norm:
            generator, encoder = add_spectral_norm(generator), add_spectral_norm(encoder)
        self.generator = self._place(generator)
        self.encoder = self._place(encoder)
        self.discriminators = self._place(_discriminators(config))
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

        batch: ``layout`` (B C H W), ``image`` (B 3 H W) uint8, ``style`` (B 3 h w) uint8.
        Randomness depends on (seed, step, rank) alone, so a resumed run repeats it.
        """
        batch = {
            key: value.to(self.process.device, non_blocking=True) for key, value in batch.items()
        }
        layout = channels_last(batch["layout"])
        real, style_image = u8_to_pm1(batch["image"]), u8_to_pm1(batch["style"])
        source = self._random_source(step)
        torch.manual_seed(source.initial_seed())  # for dropout
        self._set_rates(step)
        pair, terms = self._generator_step(layout, real, style_image, source)
        terms |= self._discriminator_step(layout, pair.detached())
        self.ema_generator.update(self.generator, step)
        self.ema_encoder.update(self.encoder, step)
        return terms

    def _generator_step(
        self, layout: Tensor, real: Tensor, style_image: Tensor, source: torch.Generator
    ) -> tuple[Pair, Terms]:
        config, weights = self.config, self.config.weights
        self.discriminators.requires_grad_(False)
        with self._autocast():
            drawn = self._normal((layout.shape[0], config.network.style_features), source)
            style, mean, log_variance = self.encoder.sample(style_image, drawn)
            fake = self.generator(layout, style, self._noise(layout, source))
            pair = self._pair(real, fake)
            terms = self._adversarial(layout, pair)
            if weights.perceptual:
                terms["perceptual"] = losses.perceptual(pair.real_taps, pair.fake_taps)
            if weights.kld:
                terms["kld"] = losses.kl_divergence(
                    mean, log_variance, config.kld_reduction, processes=self.process.world
                )
            if weights.regression:
                answer, _, _ = self.encoder(fake)
                terms["regression"] = losses.style_regression(answer, mean)
            if weights.colour:
                terms["colour"] = losses.lab_moments(fake, style_image)
            if weights.reconstruction:
                terms["reconstruction"] = losses.reconstruction(fake, real)
            if weights.sharpness:
                terms["sharpness"] = losses.sharpness(fake, real, layout)
        total = terms["adversarial"] + sum(
            getattr(weights, name) * value for name, value in terms.items() if name != "adversarial"
        )
        self._update(self.optimiser_g, total)
        self.discriminators.requires_grad_(True)
        return pair, {name: value.detach() for name, value in terms.items()}

    def _pair(self, real: Tensor, fake: Tensor) -> Pair:
        """Real and synthetic crops, with the features of VGG19 where a loss asks for them."""
        if not (self.config.weights.perceptual or self.config.weights.projected):
            return Pair(real, fake, [], [])
        with torch.no_grad():
            real_taps = self.vgg(real)
        return Pair(real, fake, real_taps, self.vgg(fake))

    def _adversarial(self, layout: Tensor, pair: Pair) -> Terms:
        """What the discriminators ask of the generator."""
        patch, condition = self.discriminators["patch"], self._condition(layout)
        fake_features = patch(condition, pair.fake)
        terms = {"adversarial": losses.adversarial_generator(self.config.gan, fake_features)}
        if self.config.weights.feature:
            with torch.no_grad():
                real_features = patch(condition, pair.real)
            terms["feature"] = losses.feature_matching(real_features, fake_features)
        if "projected" in self.discriminators:
            scores = self.discriminators["projected"](condition, pair.fake_taps, _scales(pair))
            terms["projected"] = losses.adversarial_generator("hinge", scores)
        return terms

    def _discriminator_step(self, layout: Tensor, pair: Pair) -> Terms:
        patch, condition = self.discriminators["patch"], self._condition(layout)
        with self._autocast():
            terms = {
                "discriminator": losses.adversarial_discriminator(
                    self.config.gan, patch(condition, pair.real), patch(condition, pair.fake)
                )
            }
            if "projected" in self.discriminators:
                projected, scales = self.discriminators["projected"], _scales(pair)
                terms["projected_discriminator"] = losses.adversarial_discriminator(
                    "hinge",
                    projected(condition, pair.real_taps, scales),
                    projected(condition, pair.fake_taps, scales),
                )
        self._update(self.optimiser_d, torch.stack(list(terms.values())).sum())
        return {name: value.detach() for name, value in terms.items()}

    def _condition(self, layout: Tensor) -> Tensor:
        """What the generator reads of the layout; a discriminator is shown no more."""
        return layout[:, : self.config.network.condition_channels]

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

    def _noise(self, layout: Tensor, source: torch.Generator) -> list[Tensor]:
        height, width = layout.shape[-2:]
        return [
            self._normal((layout.shape[0], *shape), source)
            for shape in self.generator.noise_shapes(height, width)
        ]

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


def _discriminators(config: TrainConfig) -> nn.ModuleDict:
    channels, width = config.network.condition_channels, config.discriminator_width
    patch = MultiScaleDiscriminator(
        channels,
        width=width,
        scales=config.discriminator_scales,
        norm=config.discriminator_norm,
        padding=config.discriminator_padding,
    )
    if not config.weights.projected:
        return nn.ModuleDict({"patch": patch})
    projected = FeatureDiscriminator(channels, width=width)
    return nn.ModuleDict({"patch": patch, "projected": projected})


def _scales(pair: Pair) -> list[Tensor]:
    """By which the features of both images are divided before they are judged."""
    return [losses.mean_activation(tap) for tap in pair.real_taps]
