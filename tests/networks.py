"""A network of the release preset's make, small enough to run in milliseconds."""

from dataclasses import replace

from model.config import NetworkConfig

TINY = NetworkConfig(
    widths=(8, 8, 8, 8, 8, 8, 8),
    upsample_after=(3, 4, 5, 6),
    start="layout",
    branch_filters=4,
    encoder="colour",
    style_features=6,
    skip="changed",
)

TINY_BY_NUCLEUS = replace(TINY, nucleus_noise=True)
"""The same with noise per nucleus."""
