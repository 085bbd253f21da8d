# SPDX-License-Identifier: Apache-2.0
"""Texts through the Verilog of a decoder, in one call for many contexts."""

import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.network.decoder import run
from ecoformer.golden.quantize.writing import Writer, integer_answers
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.record import NetworkRecord, State
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.text import record_of, rtl_answers, scores_of, tape_of
from tests.golden.integer.network.decoders import DECODERS

DESIGN = DECODERS["two lanes"]


@pytest.fixture(scope="module")
def network(builds):
    return CompiledNetwork.of(DESIGN, random_image(DESIGN, 3), builds)


def test_contexts_that_take_turns_have_the_scores_of_the_integer_network(network):
    tokens = np.random.default_rng(0).integers(0, DESIGN.vocabulary, (7, 4))
    assert np.array_equal(
        scores_of(DESIGN, network, tokens), run(DESIGN, random_image(DESIGN, 3), tokens)
    )


def test_what_the_hardware_writes_is_what_the_integer_network_writes(network):
    answers = rtl_answers(DESIGN, network), integer_answers(DESIGN, random_image(DESIGN, 3))
    first, second = (Writer(DESIGN, answer, 1e-3, seed=4).write(4) for answer in answers)
    assert first == second


def test_a_network_that_falls_silent_is_an_error(network, monkeypatch):
    none = np.zeros((0, 2), dtype=np.int64)
    silent = NetworkRecord(State.SILENT, none, none[:, 0], none[:, 0], 9, [], none, none, None)
    monkeypatch.setattr(network, "play", lambda packets: silent)
    with pytest.raises(EcoformerError, match="^network: silent after 0 of 1 answers$"):
        record_of(network, DESIGN, tape_of([(1, 0, True)]))
