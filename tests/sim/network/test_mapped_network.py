# SPDX-License-Identifier: Apache-2.0
"""Networks as the cells that synthesis chose."""

import random
import re

import pytest

from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.sim.network.mapped import verify_mapped_network
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.subjects import random_stimuli
from tests.sim.network.decoders import DECODERS
from tests.sim.network.designs import TINY

pytestmark = [pytest.mark.synth, pytest.mark.full]

NETWORKS = {"vision transformer": (TINY, 3), "decoder": (DECODERS["four at once"], 20)}


@pytest.fixture(scope="module", params=NETWORKS)
def mapped(request, for_all_workers):
    """(design, image, stimuli, netlist)"""
    design, count = NETWORKS[request.param]
    image = random_image(design, 5)

    def synthesised(folder):
        text = emit_network(design, image, "net")
        synthesise(text, "net", TARGETS["ecp5"], folder, units=False)

    folder = for_all_workers(f"mapped-{request.param}", synthesised)
    netlist = (folder / "netlist.v").read_text()
    return design, image, random_stimuli(design, 6, count), netlist


@pytest.mark.icarus
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_the_netlist_is_exact(mapped, stall, builds):
    design, image, stimuli, netlist = mapped
    result = verify_mapped_network(
        design, image, stimuli, netlist, "ecp5", stall=stall, build_dir=builds
    )
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))
    (phase,) = result.phases
    assert phase.images == len(stimuli) and 0 < phase.scores


@pytest.mark.icarus
def test_other_parameters_differ_at_the_pins(mapped, builds):
    design, _, stimuli, netlist = mapped
    result = verify_mapped_network(
        design, random_image(design, 7), stimuli, netlist, "ecp5", build_dir=builds
    )
    assert not result.ok
    assert {mismatch.what for mismatch in result.mismatches} == {"score at the pins"}


def test_wrong_tables_are_found(mapped, builds):
    """Of one LUT after another, in the compiled simulator; some are of no consequence here."""
    design, image, stimuli, netlist = mapped
    rng, found = random.Random(0), 0
    tables = [match.span(1) for match in re.finditer(r"\.INIT\(16'h(\w{4})\)", netlist)]
    for start, end in rng.sample(tables, 4):
        wrong = f"{int(netlist[start:end], 16) ^ 0xFFFF:04x}"
        result = verify_mapped_network(
            design, image, stimuli, netlist[:start] + wrong + netlist[end:], "ecp5",
            simulator="compiled", build_dir=builds,
        )
        found += not result.ok
    assert found >= 2
