"""Outlines of nuclei: closed curves, drawn all at once and filled one by one.

In its own frame a nucleus is a disc whose radius wavers,

    r(t) = 1 + g(t) * sum over k = 3, 4, ... of (a_k cos ku + b_k sin ku) + p cos 3t - q cos 4t,

with a_k and b_k normal and their deviation proportional to roughness / k^2: that is how the waves
of MoNuSeg's outlines decay once their ellipse is taken out, and it makes smooth shapes with soft
corners. It is then bent, stretched to its elongation e, turned and scaled to its area.

Stretching would make waves at the ends deep and narrow, so that they fork. The waves are therefore
those of the stretched outline: u(t) is the share of its length up to t, times 2 pi, and
g(t) = sqrt(e sin^2 t + cos^2 t / e) makes what moves by the same part of its radius move as far
across the stretched outline everywhere.

What depends on the elongation is measured, too: slender nuclei are more like a pear, p being of
deviation 0.032 (e - 1); like a banana, the bend (y moves by bend * (x^2 - 1/4)) being of deviation
0.17 (e - 1); and blunter at the ends than an ellipse, q = 0.035 (e - 1). Their waves are less by
1 / sqrt(e), as their short axis is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_HARMONICS = np.arange(3, 10)
_ANGLES = 128  # entries of a radius table; 0.5 px apart on a nucleus of 10 px
_TURNS = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
_PEAR, _BANANA, _BLUNTNESS = 0.032, 0.17, 0.035  # per unit of elongation
_MOST_ELONGATED = 4.0  # to which they were seen to hold
_MOST = 2.0  # deviations of a coefficient; beyond that outlines fork
_ROUGHNESS_SPREAD = 0.3  # from nucleus to nucleus, of the logarithm
_SMALLEST_RADIUS = 0.3  # of the mean one; keeps the curve from crossing itself
_STEPS = 4  # of a fixed-point iteration that is right to a tenth of a pixel after them


@dataclass(frozen=True)
class Outlines:
    """N outlines around the origin.

    radii: (N, 128), px, by angle in the frame of the nucleus.
    stretch: (N,), long half axis over mean radius; the short one is its inverse.
    bend: (N,), how far the ends lie aside, in half short axes.
    direction: (N,), of the long axis, radians from +x towards +y.
    """

    radii: Values
    stretch: Values
    bend: Values
    direction: Values

    def __len__(self) -> int:
        return len(self.radii)

    def reach(self, index: int, angle: float) -> float:
        """Distance from the centre of one outline to its edge along a direction, px."""
        sine, cosine = np.sin([angle]), np.cos([angle])
        distance = float(self.radii[index].mean())
        for _ in range(_STEPS):
            distance /= float(self._relative(index, distance * sine, distance * cosine)[0])
        return distance

    def fill(self, index: int, enlarged: float) -> tuple[Values, int]:
        """Relative radius of the pixels around one outline: up to 1 inside, above it outside.

        Returns a square (2m + 1, 2m + 1) centred on the nucleus that holds the outline
        ``enlarged`` times, and its half side m.
        """
        extent = float(self.radii[index].max() * self.stretch[index])
        half = int(enlarged * extent) + 1
        offsets = np.arange(-half, half + 1, dtype=np.float64)
        return self._relative(index, offsets[:, None], offsets[None, :]), half

    def relative_px(self, index: int) -> float:
        """What a pixel is of one outline's shortest radius, roughly."""
        return float(self.stretch[index] / self.radii[index].mean())

    def _relative(self, index: int, rows: Values, cols: Values) -> Values:
        """Distance of points from the centre over the outline's, in the frame of the nucleus."""
        cosine, sine = np.cos(self.direction[index]), np.sin(self.direction[index])
        along = (cosine * cols + sine * rows) / self.stretch[index]
        across = (cosine * rows - sine * cols) * self.stretch[index]
        table = self.radii[index]
        radius = float(table.mean())
        across -= self.bend[index] * (along**2 / radius - radius / 4)
        turn = np.arctan2(across, along) * (_ANGLES / (2 * np.pi))
        entry = np.rint(turn).astype(np.int64) % _ANGLES
        return np.asarray(np.hypot(along, across) / table[entry])


def draw_outlines(
    area: Values,
    elongation: Values,
    direction: Values,
    roughness: float,
    rng: np.random.Generator,
) -> Outlines:
    """One outline per entry of ``area`` (px), ``elongation`` (axis ratio), ``direction``.

    roughness: RMS amplitude of the third wave of a round nucleus, over its mean radius.
    """
    stretch = np.sqrt(elongation)
    slender = np.minimum(elongation, _MOST_ELONGATED) - 1
    count = len(area)
    # The amplitude of a wave is the root of a_k^2 + b_k^2.
    own = roughness / np.sqrt(2) * np.exp(rng.normal(0, _ROUGHNESS_SPREAD, count)) / stretch
    cosine, sine = _clipped(rng, (2, count, len(_HARMONICS))) * (
        own[:, None] * (3 / _HARMONICS) ** 2
    )
    pear = _clipped(rng, (count,)) * _PEAR * slender
    shape = 1 + _waves(cosine, sine, stretch)
    shape += np.outer(pear, np.cos(3 * _TURNS)) - np.outer(_BLUNTNESS * slender, np.cos(4 * _TURNS))
    shape = np.maximum(shape, _SMALLEST_RADIUS)
    # The area of a star-shaped curve is half the integral of r^2; the rest keeps it.
    scale = np.sqrt(area / (np.pi * np.mean(shape**2, axis=1)))
    bend = _clipped(rng, (count,)) * _BANANA * slender
    return Outlines(shape * scale[:, None], stretch, bend, direction)


def _waves(cosine: Values, sine: Values, stretch: Values) -> Values:
    """(N, 128) by angle, from the coefficients (N, 7) of waves along the stretched outlines."""
    length = np.sqrt(
        np.outer(stretch**2, np.sin(_TURNS) ** 2) + np.outer(stretch**-2, np.cos(_TURNS) ** 2)
    )
    # The share of the length up to the middle of each step, from the first angle on.
    passed = np.cumsum(length, axis=1) - (length + length[:, :1]) / 2
    turns = 2 * np.pi * passed / length.sum(axis=1, keepdims=True)
    phases = _HARMONICS[None, :, None] * turns[:, None, :]
    waves = np.einsum("nk,nka->na", cosine, np.cos(phases))
    waves += np.einsum("nk,nka->na", sine, np.sin(phases))
    return np.asarray(length * waves)


def _clipped(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    return np.clip(rng.standard_normal(shape), -_MOST, _MOST)
