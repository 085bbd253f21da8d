# SPDX-License-Identifier: Apache-2.0
"""No address leaves its memory: ring pointers and the rows of folded units, at every preset."""

from dataclasses import replace
from itertools import product

import pytest
from amaranth.hdl import Cat, Signal

from ecoformer.hw.attention.cores import core_class
from ecoformer.hw.lib.steps import Steps
from tests.formal.claims import obeys
from tests.formal.configs import NAMES, TINY, named
from tests.formal.prover import Bench


def ring(config):
    """The core with the banks and rate of ``config`` and the least data: pointers see no data.

    A ring of 2^n is addressed by n bits, which cannot leave it; one place fewer can be left.
    """
    depth = config.max_tokens
    if depth.bit_count() == 1:
        depth += 1 if depth == 2 else -1
    narrow = {"head_dim": 1, "value_dim": 1, "code_bits": 1, "anchors": 1, "max_tokens": depth}
    whole = {"dataflow": "accumulate", "mask": "full", "contexts": 1}
    config = replace(config, hash="linear", **whole, **narrow)  # no hash inside
    bench = Bench(core_class(config)(config))
    obeys(bench, bench.dut.keys, "keys")
    for name in ("head", "start", "tail"):
        bench.always(f"{name} is in the ring", bench.inner(name) < depth)
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_ring_pointers_stay_in_the_ring(proof, name):
    proof("AccumulateCore ring", name, ring(named(name)).induction(1))


def steps(input_steps, output_steps):
    bench = Bench(Steps(input_steps, output_steps))
    dut = bench.dut
    bench.always("the row exists", dut.step < input_steps * output_steps)
    bench.always("the output block exists", dut.output_step < output_steps)
    row = Signal(range(input_steps * output_steps))
    for o, i in product(range(output_steps), range(input_steps)):
        with bench.m.If((dut.input_block == 1 << i) & (dut.output_step == o)):
            bench.m.d.comb += row.eq(o * input_steps + i)
    one = Cat(dut.input_block == 1 << i for i in range(input_steps)).any()
    bench.always("one input block", one)
    bench.always("the output block is that of its step", dut.output_block == 1 << dut.output_step)
    bench.always("the row is that of both blocks", dut.step == row)
    bench.always("it waits where a token begins", dut.active | (dut.step == 0))
    bench.reach("the last block", dut.done)
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_folded_units_exist(proof, name):
    config = named(name)
    folds = {**config.hash_folds, "state": config.state_fold}
    for what, fold in folds.items():
        if fold.steps == 1:
            continue  # one row, no address
        verdict = steps(fold.input_steps, fold.output_steps).prove(reach=fold.steps + 3)
        proof(f"Steps of {what}", name, verdict)


def test_a_ring_shorter_than_its_pointers_think_is_left():
    bench = Bench(core_class(TINY)(TINY))
    bench.always("head stays below", bench.inner("head") < TINY.max_tokens - 1)
    assert not bench.bounded(12).proved
