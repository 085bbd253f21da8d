# SPDX-License-Identifier: Apache-2.0
"""A decoder in integers: whole contexts, pieces of them, and one token after another."""

import numpy as np
import pytest

from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.golden.integer.network.decoder import advance, empty_memory, run, trace
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.decoder import TokenError
from tests.golden.integer.network.decoders import DECODERS, make_decoder


def drawn(design, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, design.vocabulary, shape)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("extremes", [False, True])
def test_pieces_of_a_context_have_the_bits_of_the_whole(name, extremes):
    design = DECODERS[name]
    image = random_image(design, 3, extremes=extremes)
    tokens = drawn(design, 4, design.positions)
    whole = dict(trace(design, image, tokens))
    assert whole.keys() == design.sent_widths.keys()
    for cut in range(design.positions + 1):
        memory, pieces = empty_memory(design), []
        for piece in np.split(tokens, [cut], axis=1):
            if piece.size:
                tensors, memory = advance(design, image, piece, memory)
                pieces.append(tensors)
        assert memory.count == design.positions
        for layer, tensor in whole.items():
            got = np.concatenate([piece[layer] for piece in pieces], axis=1)
            assert np.array_equal(got, tensor), layer


@pytest.mark.parametrize("name", DECODERS)
def test_tokens_of_interleaved_contexts_have_the_bits_of_the_whole(name):
    design = DECODERS[name]
    image = random_image(design, 4)
    tokens = drawn(design, design.contexts, design.positions)
    whole = dict(trace(design, image, tokens))
    contexts, rng = Contexts(design, image), np.random.default_rng(1)
    turns = rng.permutation(np.repeat(np.arange(design.contexts), design.positions))
    seen = np.zeros(design.contexts, int)
    for context in turns.tolist():
        place = seen[context]
        error, tensors = contexts.take(int(tokens[context, place]), context, begin=place == 0)
        assert error is None
        for layer, tensor in whole.items():
            assert np.array_equal(tensors[layer], tensor[context, place]), layer
        seen[context] += 1


def test_a_token_sees_what_is_before_it_and_nothing_behind():
    design = DECODERS["two blocks"]
    image = random_image(design, 5)
    tokens = drawn(design, 1, design.positions)
    before = run(design, image, tokens)
    changes = []
    for place in range(design.positions):
        other = tokens.copy()
        other[0, place] = (other[0, place] + 1) % design.vocabulary
        same = (run(design, image, other) == before).all(axis=(0, 2))
        assert same[:place].all()
        changes.append(not same[place] and not same[place:].all())
    assert all(changes)


def test_tensors_fit_their_widths():
    for design in DECODERS.values():
        image = random_image(design, 6, extremes=True)
        for layer, tensor in trace(design, image, drawn(design, 8, design.positions)):
            limit = 1 << (design.sent_widths[layer] - 1)
            assert -limit <= tensor.min() and tensor.max() < limit, layer


@pytest.mark.parametrize("tokens, rule", [
    ([0] * 6, "at most 5 tokens, not 6"), ([11], r"tokens must be 0…10"), ([-1], "tokens must"),
])
def test_what_no_context_can_be_is_refused(tokens, rule):
    design = make_decoder()
    with pytest.raises(ValueError, match=rule):
        run(design, random_image(design, 1), np.array(tokens))


def test_other_parameters_lose_all_contexts():
    design = DECODERS["a block"]
    one, other = (random_image(design, seed) for seed in (3, 4))
    contexts = Contexts(design, one)
    assert contexts.take(1, 0, True)[0] is None
    contexts.load(other)
    assert contexts.take(1, 0)[0] == TokenError.CONTEXT_LOST
    error, tensors = contexts.take(1, 0, True)
    assert error is None
    wanted = Contexts(design, other).take(1, 0, True)[1]
    np.testing.assert_array_equal(tensors["scores"], wanted["scores"])
    contexts.load(None)  # spoilt: whatever is asked
    for token, context, begin in ((1, 0, True), (1, 0, False), (10**6, 99, False)):
        assert contexts.take(token, context, begin)[0] == TokenError.NO_PARAMETERS
    contexts.load(one)
    assert contexts.take(1, 0)[0] == TokenError.CONTEXT_LOST


def test_errors_lose_their_context_and_no_other():
    design = make_decoder()
    image = random_image(design, 7)
    contexts = Contexts(design, image)
    lost, too_long, no_token = TokenError.CONTEXT_LOST, TokenError.TOO_LONG, TokenError.NO_TOKEN

    def take(*token):
        return contexts.take(*token)[0]

    assert take(1, 0) is lost  # never begun
    assert take(1, 0, True) is None and take(2, 1, True) is None
    assert take(11, 0) is no_token
    assert take(1, 0) is lost and take(1, 1) is None
    assert take(1, 3, True) is lost  # there are three
    assert take(11, 2, True) is no_token and take(1, 2) is lost
    for _ in range(3):
        assert take(3, 1) is None
    assert take(3, 1) is too_long and take(3, 1) is lost
    error, tensors = contexts.take(4, 1, True)
    assert error is None
    assert np.array_equal(tensors["scores"], run(design, image, np.array([4]))[0])
    contexts.reset()
    assert take(1, 1) is lost
