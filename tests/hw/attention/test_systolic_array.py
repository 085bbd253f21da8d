# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.hw.attention.cores import core_class
from ecoformer.hw.attention.systolic import SystolicCore
from ecoformer.hw.attention.systolic_array import SystolicArray
from ecoformer.spec.config import Config
from tests.hw.bench import simulate

WIDTH, VALUE_WIDTH = 12, 4


def draw(rng, inputs, outputs, banks, cycles):
    """What is done in every cycle; values are extreme in some runs."""
    numbers = np.random.default_rng(rng.randrange(1 << 32))
    low, high = -(1 << VALUE_WIDTH - 1), (1 << VALUE_WIDTH - 1) - 1
    extremes = rng.random() < 0.4
    for cycle in range(cycles):
        values = numbers.integers(low, high + 1, outputs)
        if extremes:
            values = np.where(values < 0, low, high)
        yield {
            "accumulate": int(cycle == 0 or rng.random() < 0.7),
            "first": int(cycle == 0 or rng.random() < 0.2),
            "last": int(cycle == 0 or rng.random() < 0.4),
            "write_bank": rng.randrange(banks),
            "read_bank": rng.randrange(banks),
            "signs": numbers.integers(0, 2, inputs),
            "values": values,
            "query": numbers.integers(0, 2, inputs),
        }


def model(operations, inputs, outputs, banks):
    """Sums and Σ values of every cycle's query; of a bank as the cycles before have left it."""
    state, plain = np.zeros((inputs, outputs), dtype=np.int64), np.zeros(outputs, dtype=np.int64)
    kept = [None] * banks
    for o in operations:
        if kept[o["read_bank"]] is None:
            yield None
        else:
            rows, total = kept[o["read_bank"]]
            yield (2 * o["query"] - 1) @ rows, total
        if o["accumulate"]:
            state = (0 if o["first"] else state) + np.outer(2 * o["signs"] - 1, o["values"])
            plain = (0 if o["first"] else plain) + o["values"]
            if o["last"]:
                kept[o["write_bank"]] = state, plain


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "inputs, outputs, banks", [(1, 1, 1), (4, 8, 1), (5, 9, 1), (7, 19, 3), (18, 2, 2)]
)
def test_columns_have_the_sums_of_their_bank(inputs, outputs, banks, seed):
    dut = SystolicArray(
        inputs=inputs, outputs=outputs, width=WIDTH, value_width=VALUE_WIDTH, banks=banks,
        result_width=WIDTH + inputs.bit_length(), plain_width=WIDTH,
    )
    rng = random.Random(f"{inputs}-{outputs}-{banks}-{seed}")
    operations = list(draw(rng, inputs, outputs, banks, 150))
    wanted = list(model(operations, inputs, outputs, banks))
    seen = []

    async def bench(ctx):
        for o in [*operations, *operations[:1] * (dut.latency + len(dut.columns))]:
            for name, value in o.items():
                if name in ("signs", "query"):
                    value = sum(int(bit) << i for i, bit in enumerate(value))
                ctx.set(getattr(dut, name), value.tolist() if name == "values" else value)
            await ctx.tick()
            seen.append(([ctx.get(x) for x in dut.sums], [ctx.get(x) for x in dut.plain]))

    simulate(dut, bench)
    for t, want in enumerate(wanted):
        for g, column in enumerate(dut.columns):
            for i in column if want is not None else ():
                assert seen[t + dut.latency + g - 1][0][i] == want[0][i], (t, i)
                assert seen[t + dut.plain_time + g - 1][1][i] == want[1][i], (t, i)
    assert sum(want is not None for want in wanted) > 100


def test_only_an_engine_without_folding_has_columns_of_cells():
    full = Config(head_dim=20, value_dim=20, cycles_per_token=1, bus_bytes=64, max_tokens=8)
    assert core_class(full) is SystolicCore
    assert SystolicCore(full).lags == [0] * 8 + [1] * 8 + [2] * 4
    for other in ({"cycles_per_token": 2}, {"dataflow": "xnor"}, {"dataflow": "bucketed"}):
        config = replace(full, **other)
        assert core_class(config) is not SystolicCore
        assert not any(core_class(config)(config).lags)
