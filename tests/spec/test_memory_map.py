# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from ecoformer.sim.stimulus import random_image
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import SIDE_CODES, WORD_BITS, MemoryMap, Region
from ecoformer.spec.weights import WEIGHT_FORMATS

SHAPES = [
    dict(head_dim=1, value_dim=1, code_bits=1, anchors=1),
    dict(head_dim=5, value_dim=3, code_bits=7, anchors=11),
    dict(head_dim=8, value_dim=4, code_bits=16, anchors=25),
    dict(head_dim=31, value_dim=2, code_bits=3, anchors=2),
    dict(head_dim=2, value_dim=2, code_bits=37, anchors=5),
]
CONFIGS = [
    Config(**shape, cycles_per_token=k, bus_bytes=64, parameter_sets=2, max_tokens=8)
    for shape, k in product(SHAPES, (1, 2, 8, 64, 1_024))
]
FAMILIES = [
    replace(CONFIGS[k], hash=hash, weights=weights)
    for k, hash, weights in product((5, 11, 18), ("rbf", "linear"), WEIGHT_FORMATS)
] + [replace(CONFIGS[11], hash="codes")]


def shown(config):
    return (
        f"D{config.head_dim}-m{config.anchors}-b{config.code_bits}-k{config.cycles_per_token}"
        f"-{config.hash}-{config.weights}"
    )


def rows_of(memory_map, writes):
    """What the parameter memories hold after ``writes``: name → [rows, lanes] of integers."""
    words = {}
    for address, word in writes:
        assert 0 <= word < 1 << WORD_BITS and 0 <= address < 1 << 32
        assert address not in words, "written twice"
        words[address] = word
    memories = {}
    for region in memory_map.regions.values():
        memory = np.zeros((region.rows, region.lanes), dtype=np.int64)
        for row in range(region.rows):
            packed = sum(
                words.pop(region.index << 28 | row << 12 | word) << 32 * word
                for word in range(region.words)
            )
            for lane in range(region.lanes):
                element = packed & (1 << region.lane_bits) - 1
                packed >>= region.lane_bits
                sign = element >> region.lane_bits - 1
                memory[row, lane] = element - (sign << region.lane_bits)
            assert packed == 0, "padding is not zero"
        memories[region.name] = memory
    assert not words, "writes outside every region"
    return memories


def unfold(fold, memory):
    """Matrix [outputs, inputs] of a folded region; lanes off its edge must hold 0."""
    matrix = np.zeros((fold.outputs, fold.inputs), dtype=np.int64)
    left = memory.copy()
    for step in range(fold.steps):
        inputs, outputs = fold.block(step)
        for o, i in product(outputs, inputs):
            lane = (o - outputs.start) * fold.input_lanes + i - inputs.start
            matrix[o, i] = memory[step, lane]
            left[step, lane] = 0
    assert not left.any()
    return matrix


@pytest.mark.parametrize("config", CONFIGS + FAMILIES, ids=shown)
def test_load_words_hold_exactly_the_image(config):
    memory_map, image = MemoryMap(config), random_image(config, np.random.default_rng(1))
    form = WEIGHT_FORMATS[config.weights]
    for index in range(image.sets):
        held = rows_of(memory_map, memory_map.load_words(image, index))
        assert list(held) == list(memory_map.regions)
        assert held["scalars"].tolist() == [
            [getattr(image, name)[index] for name in memory_map.scalars]
        ]
        if config.hash == "codes":
            continue
        codes = unfold(config.projection_fold, held["projection"]) & (1 << form.bits) - 1
        np.testing.assert_array_equal(codes, form.encode(image.projection[index]))
        threshold = held["threshold"].reshape(-1)
        np.testing.assert_array_equal(threshold[: config.code_bits], image.threshold[index])
        assert not threshold[config.code_bits :].any()
        if config.hash == "linear":
            continue
        codes = unfold(config.dot_fold, held["anchors"]) & (1 << form.bits) - 1
        np.testing.assert_array_equal(codes, form.encode(image.anchors[index]))
        bias = held["bias"].copy()
        for anchor, slot in enumerate(config.family.kernel_slots):
            assert bias[slot] == image.bias[index][anchor]
            bias[slot] = 0
        assert not bias.any()


@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_every_anchor_has_a_slot_of_its_own_once_its_dot_product_is_there(config):
    fold = config.dot_fold
    assert len(set(config.family.kernel_slots)) == config.anchors
    for anchor, (row, lane) in enumerate(config.family.kernel_slots):
        assert row < config.family.kernel_steps and lane < config.family.kernel_lanes
        assert row // config.family.kernel_block_steps == anchor // fold.output_lanes
    # The kernels of a block are done before the next block of dot products comes.
    assert config.family.kernel_block_steps <= fold.input_steps
    assert config.family.kernel_steps <= config.cycles_per_token


def test_regions_keep_their_numbers():
    memory_map = MemoryMap(Config())
    assert {name: region.index for name, region in memory_map.regions.items()} == {
        "anchors": 0, "bias": 1, "projection": 2, "threshold": 3, "scalars": 4,
    }
    assert memory_map.scalars == ("shift", "offset")
    for hash, left in (("linear", {2, 3, 4}), ("codes", {4})):
        memory_map = MemoryMap(Config(hash=hash))
        assert {region.index for region in memory_map.regions.values()} == left
        assert memory_map.scalars == ("offset",)


@pytest.mark.parametrize(
    "changes",
    [
        dict(head_dim=128, anchors=128, cycles_per_token=8),
        dict(head_dim=128, anchors=128, cycles_per_token=1_024),
        dict(code_bits=128, anchors=16, cycles_per_token=1, head_dim=8, value_dim=8),
        dict(parameter_sets=256),
    ],
)
def test_addresses_fit_their_fields(changes):
    config = Config(**{"bus_bytes": 512, **changes})
    memory_map = MemoryMap(config)
    for region in memory_map.regions.values():
        assert region.index < 16 and region.rows <= 1 << 16 and region.words <= 1 << 12
        assert region.row_bits == 32 * region.words >= region.lanes * region.lane_bits
        last = memory_map.address(region, region.rows - 1, region.words - 1)
        assert last >> 28 == region.index
        assert last >> 12 & 0xFFFF == region.rows - 1
        assert last & 0xFFF == region.words - 1


def test_a_threshold_fits_its_slot():
    config = Config(anchors=128, cycles_per_token=1_024)
    region = MemoryMap(config).regions["threshold"]
    assert Arithmetic(config).projection_width <= region.lane_bits


def test_extreme_parameters_survive_packing():
    config = replace(CONFIGS[6], parameter_sets=1)
    memory_map, image = MemoryMap(config), random_image(config, np.random.default_rng(2), sets=1)
    bits = Arithmetic(config)
    extremes = {
        "anchors": -128, "bias": -(1 << 15), "shift": 31, "projection": 127,
        "threshold": -bits.max_projection, "offset": bits.max_offset,
    }
    image = replace(
        image, **{name: np.full_like(getattr(image, name), v) for name, v in extremes.items()}
    )
    image.check(config)
    held = rows_of(memory_map, memory_map.load_words(image, 0))
    for name in ("anchors", "projection"):
        fold = config.dot_fold if name == "anchors" else config.projection_fold
        assert (unfold(fold, held[name]) == extremes[name]).all()
    assert {held["bias"][slot] for slot in config.family.kernel_slots} == {extremes["bias"]}
    assert (held["threshold"].reshape(-1)[: config.code_bits] == extremes["threshold"]).all()
    assert held["scalars"].tolist() == [[31, bits.max_offset]]


@pytest.mark.parametrize("rows, bits", [(1, 0), (2, 1), (3, 2), (4, 2), (8, 3), (9, 4)])
def test_a_row_number_has_as_many_bits_as_the_last_one_needs(rows, bits):
    assert Region.of("bias", rows, 1, 16).address_bits == bits


def test_codes_of_one_side_end_with_the_scalars():
    assert MemoryMap(Config()).codes == SIDE_CODES == 5
