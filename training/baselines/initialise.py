"""The initial weights of pix2pix and pix2pixHD."""

from torch import nn

_DEVIATION = 0.02


def initialise_normal(module: nn.Module) -> None:
    """Draw convolutions from N(0, .02) and batch norm scales from N(1, .02); biases are 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0, _DEVIATION)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1, _DEVIATION)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)
