# SPDX-License-Identifier: Apache-2.0
"""The packet that loads parameters, and the option of a design that allows it."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim.network.loads import BAD_LOADS, bad_load
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.decoder import DecoderDesign, TokenError
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.identity import identity
from ecoformer.spec.network.load import load_design
from ecoformer.spec.network.packet import (
    CHECK_BYTES,
    HEADER_BYTES,
    LoadAnswer,
    answer_to,
    parameter_bytes,
    parameter_header,
    parameter_packet,
    spoils,
)
from tests.sim.network.decoders import TINY_DECODER
from tests.sim.network.designs import TINY

DESIGN = replace(TINY, loadable=True)
PACKET = parameter_packet(DESIGN, random_image(DESIGN, 5))
ANSWERS = {
    "within the header": LoadAnswer.LENGTH,
    "header alone": LoadAnswer.LENGTH,
    "other header": LoadAnswer.OTHER_DESIGN,
    "within the parameters": LoadAnswer.LENGTH,
    "parameters alone": LoadAnswer.LENGTH,
    "within the checksum": LoadAnswer.LENGTH,
    "other parameters": LoadAnswer.CHECKSUM,
    "other checksum": LoadAnswer.CHECKSUM,
    "a byte too long": LoadAnswer.LENGTH,
    "far too long": LoadAnswer.LENGTH,
}
HARMLESS = ("within the header", "header alone", "other header")


def test_a_packet_is_header_parameters_and_checksum():
    assert PACKET[:HEADER_BYTES] == parameter_header(DESIGN)
    assert len(PACKET) == HEADER_BYTES + parameter_bytes(DESIGN) + CHECK_BYTES
    assert zlib.crc32(PACKET) == 0x2144DF1C  # of anything with its own checksum behind it
    assert answer_to(DESIGN, PACKET) == LoadAnswer.LOADED
    # The stem comes first: four rows of an 8-bit weight.
    weights = np.frombuffer(PACKET[HEADER_BYTES : HEADER_BYTES + 4], np.int8)
    np.testing.assert_array_equal(weights, random_image(DESIGN, 5).arrays["stem.weights"][0])


@pytest.mark.parametrize("kind", BAD_LOADS)
def test_what_is_wrong_with_a_packet_is_said(kind):
    rng = np.random.default_rng(1)
    for _ in range(50):
        packet = bad_load(PACKET, kind, rng)
        assert answer_to(DESIGN, packet) == ANSWERS[kind]
        assert spoils(DESIGN, packet, len(packet)) == (kind not in HARMLESS)


def test_parameters_are_spoilt_from_the_end_of_the_header_on():
    assert [spoils(DESIGN, PACKET, n) for n in (0, HEADER_BYTES - 1, HEADER_BYTES)] == [
        False, False, True,
    ]


def test_a_packet_is_for_one_design_alone():
    others = (
        replace(DESIGN, hidden=5), replace(DESIGN, cycles_per_token=17), replace(DESIGN, classes=4)
    )
    assert len({parameter_header(design) for design in (DESIGN, *others)}) == 4
    for other in others:
        assert answer_to(other, PACKET) == LoadAnswer.OTHER_DESIGN


def test_what_training_says_to_hosts_is_no_other_design():
    design = replace(TINY_DECODER, loadable=True)
    trained = replace(design, alphabet="abcd", score_scale=0.25)
    assert trained.fingerprint != design.fingerprint
    assert parameter_header(trained) == parameter_header(design)
    images = (random_image(design, seed) for seed in (5, 6))
    assert identity(design, next(images)) == identity(trained, next(images))


@pytest.mark.parametrize("design", [TINY, TINY_DECODER])
def test_a_design_that_does_not_load_is_as_it_was(design, tmp_path):
    assert "loadable" not in design.as_toml()
    loads = replace(design, loadable=True)
    assert "loadable = true" in loads.as_toml()
    (tmp_path / "network.toml").write_text(loads.as_toml())
    assert load_design(tmp_path / "network.toml") == loads
    assert loads.fingerprint != design.fingerprint
    assert loads.bits_fingerprint == design.bits_fingerprint


def test_loadable_is_a_switch(tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(DESIGN.as_toml().replace("loadable = true", "loadable = 1"))
    with pytest.raises(EcoformerError, match="loadable must be true or false, not 1"):
        NetworkDesign.load(path)


def test_errors_of_tokens_are_those_that_can_be():
    assert TokenError.NO_PARAMETERS not in TINY_DECODER.errors
    loads: DecoderDesign = replace(TINY_DECODER, loadable=True)
    assert loads.errors == [*TokenError]


def test_a_board_with_other_parameters_is_the_same_board():
    """Unless they are in its bitstream."""
    one, other = (random_image(DESIGN, seed) for seed in (5, 6))
    assert identity(DESIGN, one) == identity(DESIGN, other)
    assert identity(TINY, one) != identity(TINY, other)
    assert identity(TINY, one) != identity(DESIGN, one)
