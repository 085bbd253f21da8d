# SPDX-License-Identifier: Apache-2.0
import numpy as np

from benchmarks.network_weights import drops
from ecoformer.spec.choices import Weights


def test_drops_are_paired_and_in_points():
    int8, pow2, ternary = (1 + list(Weights).index(kind) for kind in Weights)
    figures = np.zeros((2, 4))
    figures[:, 0] = 0.97, 0.95
    figures[:, int8] = 0.96, 0.94
    figures[:, pow2] = 0.96, 0.92
    figures[:, ternary] = 0.95, 0.93
    cells = drops(figures)
    assert cells[0] == "-1.00 ± 0.00" and cells[int8] == "–"
    assert cells[pow2] == "1.00 ± 1.00" and cells[ternary] == "1.00 ± 0.00"
    assert drops(figures[1:])[pow2] == "2.00 ± 0.00"
