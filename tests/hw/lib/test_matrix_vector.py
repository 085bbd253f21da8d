# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth import Const, Signal, signed, unsigned

from ecoformer.hw.lib.matrix_vector import MatrixVector
from ecoformer.hw.lib.products import ADDERS
from ecoformer.spec.choices import Weights
from ecoformer.spec.folding import Fold
from ecoformer.spec.weights import WEIGHT_FORMATS, WeightFormat
from tests.hw.bench import simulate, ticks, watch

ODD = WeightFormat("odd", 5, tuple(range(-16, 16)), "-16…15")


@pytest.mark.parametrize("element", [unsigned(4), signed(5)], ids=["unsigned", "signed"])
@pytest.mark.parametrize("form, product", [
    *((form, None) for form in WEIGHT_FORMATS.values()), (WEIGHT_FORMATS[Weights.INT8], ADDERS),
    (WEIGHT_FORMATS[Weights.TERNARY], ADDERS), (ODD, ADDERS),
], ids=[*WEIGHT_FORMATS, "int8-adders", "ternary-adders", "odd-adders"])
@pytest.mark.parametrize("extents", [(1, 1, 1), (5, 3, 1), (5, 3, 4), (7, 5, 64), (17, 2, 2)])
def test_matrix_vector(extents, form, product, element):
    fold, rng = Fold(*extents), random.Random(0)
    dut = MatrixVector(fold.input_lanes, fold.output_lanes, element, 24, form, product)
    low, high = (-16, 15) if element.signed else (0, 15)
    edges = (form.values[0], form.values[-1], 0)
    tokens = [
        (
            [rng.choice((low, high, rng.randint(low, high))) for _ in range(fold.inputs)],
            [[rng.choice((*edges, rng.choice(form.values))) for _ in range(fold.inputs)]
             for _ in range(fold.outputs)],
        )
        for _ in range(4)
    ]
    seen, last = [], Signal()

    async def bench(ctx):
        for x, matrix in tokens:
            for step in range(fold.steps):
                inputs, outputs = fold.block(step)
                rows = [
                    [matrix[o][i] if o in outputs and i in inputs else 0
                     for i in range(inputs.start, inputs.start + fold.input_lanes)]
                    for o in range(outputs.start, outputs.start + fold.output_lanes)
                ]
                lanes = [x[i] if i in inputs else 0 for i in
                         range(inputs.start, inputs.start + fold.input_lanes)]
                ctx.set(dut.vector, lanes)
                ctx.set(dut.matrix, form.encode(rows).reshape(-1).tolist())
                ctx.set(dut.first, step % fold.input_steps == 0)
                ctx.set(last, step % fold.input_steps == fold.input_steps - 1)
                await ctx.tick()
            ctx.set(last, 0)
            ctx.set(dut.first, 0)
            await ticks(ctx, rng.randint(0, 2))
        await ctx.tick().repeat(dut.latency + 1)

    lasts = []
    simulate(
        dut, bench, background=[watch(lasts, last), watch(seen, Const(1), dut.results)]
    )
    results = [seen[cycle + dut.latency][1] for (cycle,) in lasts]
    found = [[result[o] for o in range(fold.output_lanes)] for result in results]
    for i, (x, matrix) in enumerate(tokens):
        got = sum(found[i * fold.output_steps : (i + 1) * fold.output_steps], [])
        want = [sum(a * b for a, b in zip(row, x, strict=True)) for row in matrix]
        assert got[: fold.outputs] == want, i
