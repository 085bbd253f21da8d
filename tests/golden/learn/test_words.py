# SPDX-License-Identifier: Apache-2.0
"""Words, and a decoder that learns them."""

import math

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.decoder import perplexity, train_decoder
from ecoformer.golden.learn.words import END, as_text, batch_of, read_words
from ecoformer.golden.networks.decoder import Decoder, DecoderConfig
from ecoformer.golden.quantize.decoder import decoder_shape, integer_logits, quantise_decoder
from ecoformer.golden.quantize.tune import fold_norms, release, with_blocks_on_grids
from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign

ATTENTION = AttentionConfig(
    code_bits=8, hash="linear", weights="ternary", queries="separate"
)
SHAPE = DecoderConfig(positions=6, width=8, heads=2, mlp_ratio=2)
WORDS = [a + b + c for a in "bdglmt" for b in "aeiou" for c in ("n", "ra", "")] * 2


def design_of(model, **changes):
    attention = Config(
        head_dim=4, value_dim=4, code_bits=8, hash="linear", weights="ternary", mask="causal",
        queries="separate", offset_fraction=4, cycles_per_token=4, contexts=4,
    )
    return DecoderDesign(
        **decoder_shape(model) | dict(attention=attention, cycles_per_token=32) | changes
    )


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(1)
    model = Decoder(SHAPE, ATTENTION)
    untrained = perplexity(model.eval(), WORDS, SHAPE.positions)
    train_decoder(model, WORDS, 120, batch=64)
    return model, untrained


def test_words_are_split_once_each():
    lines = [f"{word} 0.1 1" for word in WORDS] + ["", "Toolong", "o'er", "MARA 3"]
    words = read_words(lines, 5)
    assert sorted(words.train + words.held_out) == sorted({*WORDS, "mara"})
    assert len(words.held_out) == 9 and not {*words.train} & {*words.held_out}
    assert read_words(lines, 5) == words != read_words(lines, 5, seed=1)
    with pytest.raises(EcoformerError, match="words: 1 of at most 5 letters"):
        read_words(["mara"], 5)


def test_a_batch_has_what_follows_every_letter():
    tokens, targets = batch_of(["ab", "c", "abcde"], 6)
    assert tokens.tolist() == [
        [END, 0, 1, END, END, END], [END, 2, *[END] * 4], [END, 0, 1, 2, 3, 4],
    ]
    assert targets.tolist() == [
        [0, 1, END, -100, -100, -100], [2, END, *[-100] * 4], [0, 1, 2, 3, 4, END],
    ]
    assert as_text([0, 25, END]) == "az."


def test_a_decoder_learns_and_its_integers_predict_as_well(trained):
    model, untrained = trained
    assert untrained > 20 and math.isfinite(untrained)
    learned = perplexity(model, WORDS, SHAPE.positions)
    assert learned < 5
    tokens, targets = batch_of(WORDS, SHAPE.positions)
    quantised = quantise_decoder(design_of(model), model, tokens, targets >= 0)
    integer = perplexity(lambda x: integer_logits(quantised, x), WORDS, SHAPE.positions)
    assert abs(integer / learned - 1) < 0.02
    # The best letter is the same, but where several are as likely.
    same = integer_logits(quantised, tokens).argmax(-1) == model(tokens).argmax(-1)
    assert same[targets >= 0].double().mean() > 0.8


def test_no_letter_sees_those_behind_it(trained):
    model, _ = trained
    tokens, _ = batch_of(["mara", "mare"], 6)
    logits = model(tokens)
    assert torch.equal(logits[0, :4], logits[1, :4])
    assert not torch.equal(logits[0, 4], logits[1, 4])


def test_weights_on_a_grid_stay_what_they_are(trained):
    """What is trained on the grid of a format has the same integers when it is quantised again."""
    folded = fold_norms(trained[0])
    tokens, targets = batch_of(WORDS, SHAPE.positions)
    design = design_of(folded, weights="pow2")
    start = quantise_decoder(design, folded, tokens, targets >= 0)
    layers = with_blocks_on_grids(design, folded, start)
    train_decoder(folded, WORDS, 3, learning_rate=1e-4, batch=16)
    release(layers)
    on_grid = perplexity(folded, WORDS, SHAPE.positions)
    quantised = quantise_decoder(design, folded, tokens, targets >= 0, like=start)
    integer = perplexity(lambda x: integer_logits(quantised, x), WORDS, SHAPE.positions)
    assert abs(integer / on_grid - 1) < 0.03


def test_a_decoder_with_softmax_is_refused():
    with pytest.raises(EcoformerError, match="softmax attention; train one with EcoFormer"):
        decoder_shape(Decoder(SHAPE))
    with pytest.raises(ValueError, match="heads must divide width = 8, not be 3"):
        DecoderConfig(width=8, heads=3)
