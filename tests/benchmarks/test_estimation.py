# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks.estimation import fit_networks
from benchmarks.estimation.engines import KINDS, draw
from benchmarks.estimation.fit import EXPECTED, fit, held_out
from benchmarks.estimation.networks import draw as draw_networks
from ecoformer.spec.cost.estimate import cells, luts_of
from ecoformer.spec.cost.network.attention import HeadsLayer
from ecoformer.spec.cost.network.pipeline import layers


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


def test_networks_are_drawn_alike_and_have_every_choice():
    drawn = draw_networks(16, 1)
    assert drawn == draw_networks(16, 1) and drawn[0] != draw_networks(1, 2)[0]
    for name in ("packet", "weights", "loadable", "lanes"):
        assert len({getattr(design, name) for design in drawn}) >= 2, name
    assert {design.attention.hash for design in drawn} >= {"linear", "rbf", "none"}


def test_no_network_is_both_fitted_to_and_held_out():
    known = {design.fingerprint for design in draw_networks(fit_networks.FIT_COUNT, 1)}
    assert not known & {d.fingerprint for d, _ in fit_networks.held_out(examples=()).values()}


def test_a_fit_to_layers_finds_what_these_are_made_of():
    true = fit_networks.EXPECTED | {"norm": 300, "shifted bits": 3, "distributed RAM": 1.3}
    samples = [
        (number, layer.around if isinstance(layer, HeadsLayer) else layer.features)
        for number, design in enumerate(draw_networks(8, 1)) for layer in layers(design)
    ]
    counts = [round(luts_of(amounts, true)) for _, amounts in samples]
    found = fit_networks.fit_layers(*zip(*samples), counts)
    assert min(found.values()) >= 0 and found["norm"] == pytest.approx(300, rel=0.1)
    for design in draw_networks(4, 2):
        wanted = fit_networks.whole(design, true | {"datapath LUTs": 1.0})
        assert fit_networks.whole(design, found) == pytest.approx(wanted, rel=0.02)
