# SPDX-License-Identifier: Apache-2.0
"""Rows of parameter memories hold every number of an image, where the hardware looks for it."""

import numpy as np
import pytest

from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.network.memories import parameter_memories
from tests.golden.integer.network.decoders import DECODERS
from tests.golden.integer.network.designs import DESIGNS
from tests.sim.network.rolled import ROLLED

EVERY = {
    **DESIGNS, **{f"decoder, {name}": design for name, design in DECODERS.items()},
    **{f"rolled, {name}": design for name, design in ROLLED.items()},
}


def fields(row, bits, count):
    """Fields of a row, the lowest first, unsigned."""
    return [row >> place * bits & (1 << bits) - 1 for place in range(count)]


def signed(values, bits):
    values = np.array(values, np.int64)
    return values - (values >> bits - 1 << bits)


@pytest.mark.parametrize("name", EVERY)
def test_rows_hold_every_parameter(name):
    """Read back with nothing but widths and folds."""
    design = EVERY[name]
    image = random_image(design, 3, extremes=True)
    rows = {memory.name: [*memory.contents(image)] for memory in parameter_memories(design)}
    for memory in parameter_memories(design):
        assert len(rows[memory.name]) == memory.count, memory.name
        assert all(0 <= row < 1 << memory.bits for row in rows[memory.name]), memory.name
        assert memory.bytes == memory.count * -(-memory.bits // 8)
    read = {}
    for linear, shape in design.linears.items():
        fold = design.fold(linear)
        weights, bias, shift = image.linear(linear)
        codes = [fields(row, shape.weights.bits, fold.lanes) for row in rows[f"{linear}.weights"]]
        np.testing.assert_array_equal(codes, shape.weights.encode(fold.rows(weights)))
        width, lanes = shape.sum_width, fold.granule
        constants = (fields(row, width + 5, lanes) for row in rows[f"{linear}.constants"])
        words = np.array([word for row in constants for word in row][: shape.outputs], object)
        np.testing.assert_array_equal(signed(words & (1 << width) - 1, width), bias)
        shifts = np.zeros_like(bias) if shift is None else shift
        np.testing.assert_array_equal(words >> width, shifts)
        read |= dict.fromkeys((f"{linear}.weights", f"{linear}.bias", f"{linear}.shift"))
    for table, count in design.constants.items():
        width, stride = design.residual_width, design.constant_stride
        elements = [e for row in rows[table] for e in fields(row, width, design.lanes)]
        found = signed(elements, width).reshape(count, stride * design.lanes)
        np.testing.assert_array_equal(found[:, : design.width], image.arrays[table])
        assert not found[:, design.width :].any()
        read[table] = None
    for norm in design.norms:
        assert rows[f"{norm}.epsilon"] == [int(image.arrays[f"{norm}.epsilon"])]
        read[f"{norm}.epsilon"] = None
    layout = MemoryMap(design.engine)
    for block in range(design.depth):
        table = image.arrays[f"blocks.{block}.table"]
        for element in (-128, -1, 0, 127):
            assert signed([rows[f"blocks.{block}.table"][element & 255]], 8) == table[element + 128]
        read[f"blocks.{block}.table"] = None
        for head in range(design.heads):
            words = [
                word for region in layout.regions.values()
                for row in rows[f"blocks.{block}.attention.{head}.{region.name}"]
                for word in fields(row, 32, region.words)
            ]
            wanted = layout.load_words(image.attention(block), head)
            assert words == [data for _, data in wanted]
    # Nothing is left out.
    assert {n for n in image.arrays if ".attention." not in n} <= read.keys()
