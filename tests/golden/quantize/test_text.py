# SPDX-License-Identifier: Apache-2.0
"""What an engine gets of a text."""

import torch

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.predictions import IGNORED
from ecoformer.golden.networks.decoder import Decoder, DecoderConfig
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.evaluation import recorded_workload
from ecoformer.golden.recording import record
from ecoformer.spec.config import Config


def test_the_padding_behind_a_short_line_is_not_sent():
    torch.manual_seed(0)
    shape = DecoderConfig(vocabulary=4, positions=6, width=8, heads=2, alphabet="abc")
    attention = AttentionConfig(code_bits=4, hash="linear", queries="separate")
    model = Decoder(shape, attention).eval()
    config = Config(
        head_dim=4, value_dim=4, max_tokens=6, parameter_sets=2, mask="causal", contexts=4,
        cycles_per_token=16, **attention.in_hardware,
    )
    tokens = torch.tensor([[3, 0, 1, 3, 3, 3]])
    targets = torch.tensor([[0, 1, 3, IGNORED, IGNORED, IGNORED]])
    layers = model.attention_layers()
    image = calibrate(config, layers, record(layers, lambda: model(tokens)))
    workload = recorded_workload(config, model, image, Split(tokens, targets))
    assert workload.lengths.tolist() == [3, 3]
