"""Scaling in front of the head, and its becoming part of the head."""

from __future__ import annotations

import torch
from torch import nn

from kinsight.networks import build
from trainer.training.standardise import Standardised, fold, unfold


def test_a_folded_layer_reads_plain_features_as_it_read_scaled_ones() -> None:
    linear = nn.Linear(6, 4)
    plain = torch.randn(10, 6) * 3 + 1
    mean, deviation = plain.mean(dim=0), plain.std(dim=0)
    expected = linear((plain - mean) / deviation)
    fold(linear, mean, deviation)
    torch.testing.assert_close(linear(plain), expected, rtol=1e-4, atol=1e-5)
    unfold(linear, mean, deviation)
    torch.testing.assert_close(linear((plain - mean) / deviation), expected, rtol=1e-4, atol=1e-5)


def test_after_folding_the_network_answers_by_itself() -> None:
    torch.manual_seed(0)
    options = {"input_size": 32, "width": 0.1, "fc_width": 32, "hash_bits": 16}
    network = build("alexnet", options, classes=3)
    module = Standardised(network).train()
    for _ in range(30):
        module(torch.randn(8, 3, 32, 32))
    x = torch.randn(4, 3, 32, 32)
    module.eval()
    with torch.inference_mode():
        expected = module(x)
    module.fold()
    with torch.inference_mode():
        got = network(x)
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert 0.2 < float((got.activations >= 0.5).float().mean()) < 0.8
