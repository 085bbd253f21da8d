# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.flow import pack, place, synthesise
from ecoformer.hw.synth.target import RESOURCES, check_fits
from ecoformer.hw.synth.targets import DEVICES, TARGETS, find_target, target_of
from tests.hw.synth.test_flow import DESIGN

ECP5 = TARGETS["ecp5"]
QUICK = "up5k"
"""The device that 'make test' places; the others take as long and show the same."""


@pytest.mark.parametrize(
    "device, speed, seeds, why",
    [
        ("99k", 6, [1], "device '99k': not a Lattice ECP5; choose 85k, 45k, 25k, 12k"),
        ("up5k", 6, [1], "device 'up5k': not a Lattice ECP5; choose 85k"),
        ("85k", 9, [1], "speed 9: not a speed grade; choose 6, 7, 8"),
        ("85k", 6, [], "seeds .*different numbers from 1 up"),
        ("85k", 6, [1, 1], "seeds .*different numbers from 1 up"),
        ("85k", 6, [0], "seeds .*different numbers from 1 up"),
    ],
)
def test_devices_speeds_and_seeds_are_checked(device, speed, seeds, why):
    with pytest.raises(EcoformerError, match=why):
        ECP5.check(device, speed, seeds)


def test_a_family_that_has_one_speed_takes_none():
    with pytest.raises(EcoformerError, match="speed 6: .*choose none, the device has only one"):
        TARGETS["ice40"].check("up5k", 6, [1])
    with pytest.raises(EcoformerError, match="not a Xilinx.*choose none, it is synthesised only"):
        TARGETS["xc7"].check("85k", None, [1])


def test_a_target_is_found_by_its_name_or_by_a_device():
    assert target_of(None) is ECP5 and target_of("up5k").name == "ice40"
    assert target_of("up5k", "ecp5") is ECP5  # which then refuses the device
    with pytest.raises(EcoformerError, match="'abacus': not supported; choose ecp5 or ice40 or"):
        find_target("abacus")


def test_every_device_can_be_named_and_compared():
    assert len(DEVICES) == sum(len(target.parts) for target in TARGETS.values())
    for target in TARGETS.values():
        assert tuple(target.resources) == RESOURCES
        for device, part in target.parts.items():
            assert tuple(part.capacity) == RESOURCES
            assert set(target.packed) <= set(RESOURCES)
            check_fits(part.capacity, target, device)
            assert "{" not in " ".join(target.arguments(device, None))


def test_a_mapping_is_that_of_the_part():
    ice40 = TARGETS["ice40"]
    assert ice40.script("top") == "synth_ice40 -noabc9 -device u -top top"
    assert "-device hx -noflatten -top top" in ice40.script("top", "hx8k", flatten=False)
    assert TARGETS["gatemate"].script("top").endswith("-top top; autoname")
    assert TARGETS["xc7"].script("top").endswith("-flatten -top top")


def test_a_device_that_is_too_small_says_by_how_much_and_what_helps():
    needs = {"LUT": 30_000, "FF": 100, "DSP": 82, "block RAM": 56}
    with pytest.raises(EcoformerError) as caught:
        check_fits(needs, ECP5, "25k")
    assert str(caught.value) == (
        "LFE5U-25F: too small, 30,000 LUT, 5,712 more than its 24,288, 82 DSP, 54 more than its "
        '28; choose --device 85k, or more cycles_per_token, fewer code_bits or value_dim; more '
        'cycles_per_token, or weights = "ternary" or "pow2"'
    )
    check_fits(needs, ECP5, "85k")
    with pytest.raises(EcoformerError, match="LFE5U-85F: too small, 209 block RAM, 1 more than its "
                       "208; fewer parameter_sets or max_tokens, or another dataflow$"):
        check_fits(dict(needs, **{"block RAM": 209}), ECP5, "85k")
    with pytest.raises(EcoformerError, match="choose --device 45k, or"):
        check_fits(dict(needs, DSP=72), ECP5, "25k")
    with pytest.raises(EcoformerError, match="more than its 28; more cycles_per_token"):
        check_fits(needs, ECP5, "25k", devices=("25k", "12k"))  # with which a board comes


@pytest.mark.synth
@pytest.mark.parametrize("device", [
    pytest.param(device, marks=() if device == QUICK else pytest.mark.full)
    for device, target in DEVICES.items() if target is not ECP5
])
def test_a_design_is_placed_and_its_path_has_names(device, tmp_path):
    target = DEVICES[device]
    figures = synthesise(DESIGN, "top", target, tmp_path, device=device)
    place(figures, tmp_path, device=device, speed=None, seeds=[1])
    assert figures["part"] == target.parts[device].title and figures["fmax_median_mhz"] > 10
    assert figures["harness_pins"] == 19
    packed = target.totals(figures["packed"])
    assert packed["LUT"] >= figures["resources"]["LUT"]
    # The product may be in the multiplier's own register.
    assert packed.get("FF", 20) >= 19 + 1
    path = figures["critical_path"]
    named = {step["unit"] for step in path["steps"]} | {path["from"]["unit"], path["to"]["unit"]}
    assert named <= {"", "child", "harness"} and path["delay_ns"] > 0
    assert path["delay_ns"] == pytest.approx(1000 / figures["fmax_median_mhz"], rel=0.02)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "netlist.json", "netlist.v", "seed-1.json", "seed-1.log", "synthesis.log", "units.log",
    ]


@pytest.mark.synth
def test_what_packs_to_more_than_the_part_has_is_refused(tmp_path, monkeypatch):
    target = TARGETS["ice40"]
    figures = synthesise(DESIGN, "top", target, tmp_path, units=False)
    mapped = figures["resources"]["LUT"]
    monkeypatch.setitem(target.parts["up5k"].capacity, "LUT", mapped)  # the harness comes on top
    with pytest.raises(EcoformerError, match=f"iCE40UP5K: too small, .* more than its {mapped:,};"
                       " choose --device hx8k, or more cycles_per_token"):
        pack(figures, tmp_path, device="up5k")
