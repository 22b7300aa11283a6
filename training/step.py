"""One training step: generator with encoder, then discriminator.

Reads top to bottom as Sec. 2.1 of the paper: encode the style, synthesize, the five losses
(and the colour term), update; then the discriminator's hinge loss, update.
"""

import hashlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from model.encoder import build_encoder
from model.generator import Generator
from model.layout import DIRECTION_CHANNELS
from model.pixels import Module, channels_last, place, u8_to_pm1
from training import losses
from training.config import TrainConfig
from training.discriminator import MultiScaleDiscriminator
from training.distributed import Process, average_gradients, broadcast, synchronise_batch_norm
from training.ema import Ema
from training.perceptual import PerceptualLoss
from training.spectral import add_spectral_norm

Batch = dict[str, Tensor]


class Stepper:
    """The networks, their optimisers and averages, and the step that moves them."""

    def __init__(self, config: TrainConfig, perceptual: PerceptualLoss, process: Process) -> None:
        self.config, self.process = config, process
        torch.manual_seed(config.seed)
        generator, encoder = Generator(config.network), build_encoder(config.network)
        if config.generator_spectral_norm:
            generator, encoder = add_spectral_norm(generator), add_spectral_norm(encoder)
        condition = 2 + DIRECTION_CHANNELS[config.network.direction] + 1
        discriminator = MultiScaleDiscriminator(
            condition, width=config.discriminator_width, norm=config.discriminator_norm
        )
        self.generator = self._place(generator)
        self.encoder = self._place(encoder)
        self.discriminator = self._place(discriminator)
        self.perceptual = place(perceptual, process.device)
        self.ema_generator = Ema(self.generator, config.ema_decay)
        self.ema_encoder = Ema(self.encoder, config.ema_decay)
        fused = process.device.type == "cuda"
        self.optimiser_g = torch.optim.Adam(
            [*self.generator.parameters(), *self.encoder.parameters()],
            lr=config.lr_generator,
            betas=(0.0, 0.9),
            fused=fused,
        )
        self.optimiser_d = torch.optim.Adam(
            self.discriminator.parameters(),
            lr=config.lr_discriminator,
            betas=(0.0, 0.9),
            fused=fused,
        )

    def _place(self, module: Module) -> Module:
        module = synchronise_batch_norm(place(module, self.process.device), self.process)
        broadcast(module, self.process)
        return module

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
        fake, terms = self._generator_step(layout, real, style_image, source)
        terms |= self._discriminator_step(layout, real, fake)
        self.ema_generator.update(self.generator)
        self.ema_encoder.update(self.encoder)
        return terms

    def _generator_step(
        self, layout: Tensor, real: Tensor, style_image: Tensor, source: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config, weights = self.config, self.config.weights
        self.discriminator.requires_grad_(False)
        with self._autocast():
            drawn = self._normal((layout.shape[0], config.network.style_features), source)
            style, mean, log_variance = self.encoder.sample(style_image, drawn)
            fake = self.generator(layout, style, self._noise(layout, source))
            with torch.no_grad():
                real_features = self.discriminator(layout, real)
            fake_features = self.discriminator(layout, fake)
            terms = {
                "adversarial": losses.hinge_generator(fake_features),
                "feature": losses.feature_matching(real_features, fake_features),
                "perceptual": self.perceptual(fake, real),
                "kld": losses.kl_divergence(mean, log_variance, config.kld_reduction),
            }
            if weights.regression:
                answer, _, _ = self.encoder(fake)
                terms["regression"] = losses.style_regression(answer, mean)
            if weights.colour:
                terms["colour"] = losses.lab_moments(fake, style_image)
        total = terms["adversarial"] + sum(
            getattr(weights, name) * value for name, value in terms.items() if name != "adversarial"
        )
        self.optimiser_g.zero_grad(set_to_none=True)
        total.backward()
        average_gradients(self.optimiser_g.param_groups[0]["params"], self.process)
        self.optimiser_g.step()
        self.discriminator.requires_grad_(True)
        return fake.detach(), {name: value.detach() for name, value in terms.items()}

    def _discriminator_step(self, layout: Tensor, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        with self._autocast():
            real_features = self.discriminator(layout, real)
            fake_features = self.discriminator(layout, fake)
            loss = losses.hinge_discriminator(real_features, fake_features)
        self.optimiser_d.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.discriminator.parameters(), self.process)
        self.optimiser_d.step()
        return {"discriminator": loss.detach()}

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
        return torch.autocast(
            self.process.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"
        )

    def parts(self) -> dict[str, nn.Module]:
        """Everything with a state dict that a resumed run needs."""
        return {
            "generator": self.generator,
            "encoder": self.encoder,
            "discriminator": self.discriminator,
            "ema_generator": self.ema_generator.module,
            "ema_encoder": self.ema_encoder.module,
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimiser_g": self.optimiser_g, "optimiser_d": self.optimiser_d}
