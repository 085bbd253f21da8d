# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from ecoformer.golden.attention import cores_of
from ecoformer.golden.convert.convert import convert, learn_layers, replace_attention
from ecoformer.golden.learn.distill import DistillConfig
from tests.golden.convert.models import (
    CONFIG,
    QUICK,
    answer,
    answer_logits,
    gpt,
    grouped,
    make_text,
)


@pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated")
@pytest.mark.parametrize("make", [gpt, grouped])
def test_a_decoder_attends_to_what_came_before(make):
    model = make()
    converted = convert(model, CONFIG, make_text(), QUICK)
    assert [core.mask for core in cores_of(converted)] == ["causal"] * 2
    batch = {"input_ids": make_text(1)[0]["input_ids"]}
    later = {"input_ids": batch["input_ids"].clone()}
    later["input_ids"][:, 6:] = 7
    want, found = answer(converted, batch), answer(converted, later)
    torch.testing.assert_close(found[:, :6], want[:, :6])
    assert not torch.allclose(found[:, 6:], want[:, 6:], atol=1e-2)
    # Token by token with a cache, by a sequence at once, and behind padding.
    with torch.no_grad():
        cache, rows = None, []
        for position in range(10):
            output = converted(batch["input_ids"][:, position : position + 1],
                               past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            rows.append(output.logits)
    torch.testing.assert_close(torch.cat(rows, 1), want, atol=1e-3, rtol=1e-3)
    padded = nn.functional.pad(batch["input_ids"], (3, 0))
    mask = nn.functional.pad(torch.ones(4, 10).long(), (3, 0))
    inputs = {"input_ids": padded, "attention_mask": mask,
              "position_ids": (mask.cumsum(1) - 1).clamp_min(0)}
    torch.testing.assert_close(answer_logits(converted, inputs)[:, 3:], want, atol=1e-3, rtol=1e-3)
    words = converted.generate(batch["input_ids"], max_new_tokens=5, do_sample=False,
                               pad_token_id=0)
    greedy = answer(converted, {"input_ids": words[:, :-1]})[:, 9:].argmax(-1)
    assert torch.equal(words[:, 10:], greedy)


@pytest.mark.parametrize("objective", ["output", "attention"])
def test_a_decoder_learns_what_it_attends_to(objective):
    batches = 2 * make_text(4)  # the same are held out: random words teach nothing about others
    model = replace_attention(gpt(), CONFIG, batches[0])
    losses = learn_layers(model, batches, DistillConfig(steps=60, objective=objective))
    assert all(min(layer) < 0.9 * layer[0] for layer in losses)
