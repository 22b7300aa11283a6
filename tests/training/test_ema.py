"""Averaged weights and re-estimated batch norm statistics."""

import pytest
import torch
from torch import nn

from training.ema import Ema, reestimate_batch_norm


def test_the_decay_ramps_up_and_then_holds() -> None:
    source = nn.Linear(1, 1, bias=False)
    nn.init.constant_(source.weight, 0.0)
    ema = Ema(source, decay=0.5)
    nn.init.constant_(source.weight, 1.0)
    expected = 0.0
    for n in range(20):
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay)
        ema.update(source, n)
        assert ema.module.weight.item() == pytest.approx(expected, rel=1e-5)


def test_buffers_are_copied_and_the_source_is_untouched() -> None:
    source = nn.BatchNorm2d(3)
    ema = Ema(source, decay=0.9)
    source(torch.randn(4, 3, 5, 5) + 2)
    ema.update(source, 0)
    torch.testing.assert_close(ema.module.running_mean, source.running_mean)
    assert ema.module.weight is not source.weight
    assert not ema.module.weight.requires_grad


def test_statistics_become_the_mean_over_the_batches() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(2, momentum=0.3).eval()
    batches = [torch.randn(8, 2, 6, 6) * k + k for k in (1.0, 2.0, 3.0)]
    reestimate_batch_norm(norm, batches, lambda batch: norm(batch))
    mean = torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0)
    variance = torch.stack([b.var((0, 2, 3)) for b in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert norm.momentum == 0.3
    assert not norm.training
