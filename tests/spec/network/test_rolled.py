# SPDX-License-Identifier: Apache-2.0
"""Blocks that share the hardware of one: what such a network may be, and its rate and memories."""

from dataclasses import replace

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim.network.busy import busy_bits, busy_cycles
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.load import load_design
from ecoformer.spec.network.memories import parameter_memories
from ecoformer.spec.network.packet import load_cycles
from tests.sim.network.decoders import TINY_DECODER
from tests.sim.network.designs import TINY
from tests.sim.network.rolled import ROLLED, TINY_ROLLED


def test_no_bit_depends_on_it():
    apart = replace(TINY_ROLLED, rolled=False)
    assert apart.bits_fingerprint == TINY_ROLLED.bits_fingerprint
    assert apart.fingerprint != TINY_ROLLED.fingerprint


def test_a_file_has_it_where_it_is_true(tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(TINY_ROLLED.as_toml())
    assert "rolled = true" in path.read_text()
    assert load_design(path) == TINY_ROLLED
    assert "rolled" not in replace(TINY_ROLLED, rolled=False).as_toml()
    path.write_text(TINY_ROLLED.as_toml().replace("rolled = true", "rolled = 1"))
    with pytest.raises(EcoformerError, match="rolled must be true or false, not 1"):
        NetworkDesign.load(path)


@pytest.mark.parametrize("design, changes, rule", [
    (TINY, {"rolled": True}, "rolled must be false with depth = 1"),
    (TINY_ROLLED, {"cycles_per_token": 31},
     "must be at least 2 · 16 = 32 with rolled = true, .* 2 times, .* not 31"),
    (ROLLED["three"], {"cycles_per_token": 95}, "must be at least 3 · 32 = 96 .* not 95"),
])
def test_what_cannot_be_is_refused(design, changes, rule):
    with pytest.raises(ValueError, match=rule):
        replace(design, **changes)


def test_a_decoder_is_refused(tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(TINY_DECODER.as_toml().replace("[decoder]", "[decoder]\nrolled = true"))
    with pytest.raises(EcoformerError, match="rolled must be false in a decoder: blocks share"):
        DecoderDesign.load(path)


@pytest.mark.parametrize("name, cycles, of_block, of_heads", [
    ("three", 192, 64, 64),
    ("fast", 96, 24, 16),  # 99 is no multiple of four
    ("many tokens", 64, 32, 32),
    ("single", 320, 64, 64),  # the attention is the slowest, of k = 75
])
def test_a_token_has_a_share_of_k_for_every_pass(name, cycles, of_block, of_heads):
    design = ROLLED[name]
    assert design.steady_cycles == cycles <= design.cycles_per_token
    assert design.steady_block_cycles == of_block <= design.block_cycles
    assert design.engine.cycles_per_token == of_heads
    assert design.cycles_per_image == design.tokens * cycles
    assert design.fold("stem").steps > design.block_cycles or name in ("fast", "single")
    for linear in design.linears:
        if linear.startswith("blocks."):
            assert design.fold(linear).steps <= design.block_cycles


def test_a_slow_layer_before_the_blocks_sets_the_rate():
    """Sums of 49 elements, a lane each two outputs, and two passes of 16 cycles."""
    design = replace(TINY_ROLLED, image_size=8, patch=4, cycles_per_token=50)
    assert (design.steady_block_cycles, design.steady_cycles) == (16, 50)


def test_layers_that_there_are_in_hardware():
    design = ROLLED["three"]
    shared = [f"blocks.{part}" for part in ("vectors", "out", "up", "down")]
    assert [*design.linear_hardware] == ["stem", *shared, "classifier"]
    assert design.linear_hardware["blocks.up"] == "blocks.0.up"
    apart = replace(design, rolled=False)
    assert apart.linear_hardware == {name: name for name in apart.linears}
    assert [*busy_bits(design)][1:6] == [*shared, "classifier"]
    # As much work in less hardware.
    total = sum(cycles for name, cycles in busy_cycles(design).items() if name in shared)
    assert total == 3 * design.tokens * sum(
        design.fold(f"blocks.0.{part}").steps for part in ("vectors", "out", "up", "down")
    )


def test_memories_come_block_by_block():
    design = replace(ROLLED["three"], loadable=True)
    names = [memory.name for memory in parameter_memories(design)]
    apart = [memory.name for memory in parameter_memories(replace(design, rolled=False))]
    assert sorted(names) == sorted(apart) and names != apart
    first = names.index("blocks.0.norm1.epsilon")
    assert names[first : first + 6] == [
        f"blocks.{block}.{part}" for part in ("norm1.epsilon", "vectors.weights")
        for block in range(3)
    ]
    # All regions of a block's head, then those of the next block's.
    heads = [name.split(".")[1:4:2] for name in names if ".attention." in name]
    assert [*dict.fromkeys(map(tuple, heads))] == [
        (block, head) for head in "01" for block in "012"
    ]
    # The last byte goes through a memory where it went through three.
    sizes = [sum(memory.bytes for memory in parameter_memories(d)) for d in (
        design, replace(design, rolled=False, cycles_per_token=64)
    )]
    waits = load_cycles(design) - sizes[0], load_cycles(
        replace(design, rolled=False, cycles_per_token=64)
    ) - sizes[1]
    assert waits[1] - waits[0] == 2 * (2 + 4 * 2 + 1 + 1)
