# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks.estimation.engines import KINDS, draw
from benchmarks.estimation.fit import EXPECTED, fit, held_out
from ecoformer.spec.cost.estimate import cells


@pytest.fixture(scope="module")
def engines():
    return draw(2 * len(KINDS), 1)


def test_engines_are_the_same_for_a_seed_and_spread_over_the_choices(engines):
    assert engines == draw(2 * len(KINDS), 1) and engines != draw(2 * len(KINDS), 2)
    for name in ("hash", "weights", "dataflow", "mask", "queries", "engines"):
        assert len({getattr(config, name) for config in engines}) >= 2, name
    assert {config.cycles_per_token for config in engines} >= {1, 8, 64}


def test_held_out_engines_were_not_fitted_to():
    known = {config.fingerprint for config in draw(60, 1)}
    assert len(held_out()) >= 24 and not known & {c.fingerprint for c in held_out()}


def test_a_fit_finds_what_the_cells_are_made_of(engines):
    true = EXPECTED | {"base": 1_000, "accumulator bits": 1.6, "digit bits": 0.5}
    counts = [round(cells(config, true)) for config in engines]
    found = fit(engines, counts)
    assert min(found.values()) >= 0
    for config, count in zip(engines, counts):
        assert cells(config, found) == pytest.approx(count, rel=0.02)
    worst = max(abs(cells(c, EXPECTED) / n - 1) for c, n in zip(engines, counts))
    assert worst > 0.05  # what was expected alone does not fit


def test_every_feature_must_be_expected(engines, monkeypatch):
    monkeypatch.delitem(EXPECTED, "base")
    with pytest.raises(ValueError, match=r"^EXPECTED must have every feature, not lack \['base'\]"):
        fit(engines, [1_000] * len(engines))
