# SPDX-License-Identifier: Apache-2.0
"""The FPGA families: how each is mapped, what its cells are called, and which parts it has."""

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.carries import open_pins, pack_carries
from ecoformer.hw.synth.fanout import copy_registers
from ecoformer.hw.synth.harness import Harness, cst, pdc
from ecoformer.hw.synth.packing import pack_registers
from ecoformer.hw.synth.pads import PadFlow
from ecoformer.hw.synth.placing import OutOfContext
from ecoformer.hw.synth.repairs import release_carry_in, widen_luts
from ecoformer.hw.synth.target import Part, Target
from ecoformer.hw.synth.tools import (
    ECPPACK,
    GATEMATE,
    GOWIN,
    GOWIN_PACK,
    ICE40,
    ICEPACK,
    NEXTPNR,
    NEXUS,
)

__all__ = ["DEVICES", "TARGETS", "find_target", "target_of"]


def _counted(*numbers):
    return dict(zip(("LUT", "FF", "DSP", "block RAM"), numbers))


ECP5 = Target(
    name="ecp5",
    title="Lattice ECP5",
    mapping="synth_ecp5 -nowidelut",
    resources={
        # A distributed RAM takes four LUTs for its bits and two for its write port.
        "LUT": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        "FF": {"TRELLIS_FF": 1},
        "DSP": {"MULT18X18D": 1},
        "block RAM": {"DP16KD": 1},
    },
    passes=(pack_registers, pack_carries, copy_registers),
    # The smallest is sold as half of the next one, but is the same die, all of which the open tools
    # use.
    parts={
        "85k": Part("LFE5U-85F", _counted(83_640, 83_640, 156, 208), ("--85k",)),
        "45k": Part("LFE5U-45F", _counted(43_848, 43_848, 72, 108), ("--45k",)),
        "25k": Part("LFE5U-25F", _counted(24_288, 24_288, 28, 56), ("--25k",)),
        "12k": Part("LFE5U-12F", _counted(24_288, 24_288, 28, 56), ("--12k",)),
    },
    tool=NEXTPNR,
    context=OutOfContext(),
    packed={
        "LUT": {"TRELLIS_COMB": 1}, "FF": {"TRELLIS_FF": 1}, "DSP": {"MULT18X18D": 1},
        "block RAM": {"DP16KD": 1},
    },
    speeds=(6, 7, 8),
    pads=PadFlow(
        "lpf", ("--placer", "static", "--lpf", "{constraints}"), ("--textcfg", "{routed}"),
        "bit", ECPPACK, ("--compress", "--input", "{routed}", "--bit", "{bitstream}"),
        passes=(open_pins,),
    ),
)

ICE40_FAMILY = Target(
    name="ice40",
    title="Lattice iCE40",
    # Without DSP blocks, because Yosys leaves some of their outputs without a driver, and without
    # ABC9, which does not finish on an engine.
    mapping="synth_ice40 -noabc9",
    resources={
        # A carry is part of the logic cell that has the LUT, as a flip-flop is.
        "LUT": {"SB_LUT4": 1},
        "FF": {
            f"SB_DFF{enable}{reset}": 1
            for enable in ("", "E")
            for reset in ("", "R", "S", "SR", "SS")
        },
        "DSP": {},
        "block RAM": {"SB_RAM40_4K": 1},
    },
    parts={
        "up5k": Part(
            "iCE40UP5K", _counted(5_280, 5_280, 0, 30), ("--up5k", "--package", "sg48"),
            mapping="-device u",
        ),
        "hx8k": Part(
            "iCE40HX8K", _counted(7_680, 7_680, 0, 32), ("--hx8k", "--package", "ct256"),
            mapping="-device hx",
        ),
    },
    tool=ICE40,
    context=Harness(),
    packed={"LUT": {"ICESTORM_LC": 1}, "block RAM": {"ICESTORM_RAM": 1}},
    pads=PadFlow(
        "pcf", ("--pcf", "{constraints}"), ("--asc", "{routed}"),
        "bin", ICEPACK, ("{routed}", "{bitstream}"),
    ),
)

GOWIN_FAMILY = Target(
    name="gowin",
    title="Gowin LittleBee and Arora",
    mapping="synth_gowin",
    bare="-noiopads",
    resources={
        # A distributed RAM takes the LUTs of two slices.
        "LUT": {**{f"LUT{inputs}": 1 for inputs in range(1, 5)}, "ALU": 1, "RAM16SDP4": 4},
        "FF": {f"DFF{kind}": 1 for kind in ("", "E", "R", "RE", "S", "SE")},
        "DSP": {"MULT18X18": 1, "MULT9X9": 1, "MULT36X36": 2},
        "block RAM": {kind: 1 for kind in ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM",
                                           "pROMX9")},
    },
    parts={
        "gw1n-9c": Part(
            "GW1N-9C", _counted(8_640, 6_480, 20, 26),
            ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
            mapping="-family gw1n", pins=("52", "3", "10"),
        ),
        "gw2a-18": Part(
            "GW2A-18", _counted(20_736, 15_552, 48, 46),
            ("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18"),
            mapping="-family gw2a", pins=("H11", "J13", "F12"),
        ),
    },
    tool=GOWIN,
    context=Harness(cst, ("--vopt", "cst={}"), passes=(widen_luts,)),
    packed={
        "LUT": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4}, "FF": {"DFF": 1}, "block RAM": {"BSRAM": 1},
    },
    pads=PadFlow(
        "cst", ("--vopt", "cst={constraints}"), ("--write", "{routed}"),
        "fs", GOWIN_PACK, ("-d", "{part}", "-o", "{bitstream}", "{routed}"),
        passes=(widen_luts,),
    ),
)

NEXUS_FAMILY = Target(
    name="nexus",
    title="Lattice Nexus",
    mapping="synth_nexus",
    bare="-noiopad",
    resources={
        "LUT": {"LUT4": 1, "WIDEFN9": 2, "CCU2": 2, "DPR16X4": 6, "INV": 1},
        "FF": {f"FD1P3{kind}X": 1 for kind in "BDIJ"},
        "DSP": {"MULT9X9": 1, "MULT18X18": 1, "MULT18X36": 2, "MULT36X36": 4},
        "block RAM": {"PDPSC16K": 1, "PDP16K": 1, "DP16K": 1},
    },
    parts={
        "lifcl-40": Part(
            "LIFCL-40", _counted(32_256, 32_256, 56, 84),
            ("--device", "LIFCL-40-{speed}BG400C"), mapping="-family lifcl",
            pins=("E17", "F13"),
        ),
    },
    tool=NEXUS,
    # Few pads reach the clock network, and the oscillator does in every package.
    context=Harness(
        pdc, ("--pdc", "{}"), passes=(release_carry_in,),
        clock='OSCA #(.HF_CLK_DIV("1")) source(.HFOUTEN(1\'b1), .HFCLKOUT(aclk));',
    ),
    packed={
        "LUT": {"OXIDE_COMB": 1}, "FF": {"OXIDE_FF": 1}, "block RAM": {"OXIDE_EBR": 1},
    },
    speeds=(7, 8, 9),
)

GATEMATE_FAMILY = Target(
    name="gatemate",
    title="Cologne Chip GateMate",
    mapping="synth_gatemate -luttree -nomx8",
    bare="-noiopad -noclkbuf",
    after="autoname",
    resources={
        # Halves of a CPE; a multiplier takes a column of them and is counted as it is.
        "LUT": {**{f"CC_LUT{inputs}": 1 for inputs in range(1, 5)}, "CC_L2T4": 1, "CC_L2T5": 2,
                "CC_MX2": 1, "CC_MX4": 2, "CC_ADDF": 1},
        "FF": {"CC_DFF": 1},
        "DSP": {},
        "block RAM": {"CC_BRAM_20K": 1, "CC_BRAM_40K": 2},
    },
    parts={
        "ccgm1a1": Part(
            "CCGM1A1", _counted(40_960, 40_960, 0, 64),
            ("--device", "CCGM1A1", "--vopt", "allow-unconstrained"),
        ),
    },
    tool=GATEMATE,
    context=Harness(),
    packed={
        "LUT": {"CPE_LT": 1}, "FF": {"CPE_FF": 1}, "block RAM": {"RAM_HALF": 1},
    },
)

XC7 = Target(
    name="xc7",
    title="Xilinx 7 series",
    mapping="synth_xilinx -family xc7",
    bare="-noiopad -noclkbuf",
    flat="-flatten",
    kept="",
    resources={
        "LUT": {
            **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
            "SRL16E": 1, "SRLC32E": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2,
            "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4,
        },
        "FF": {"FDRE": 1, "FDSE": 1, "FDCE": 1, "FDPE": 1},
        "DSP": {"DSP48E1": 1},
        "block RAM": {"RAMB18E1": 1, "RAMB36E1": 2},
    },
)

TARGETS = {
    target.name: target
    for target in (ECP5, ICE40_FAMILY, GOWIN_FAMILY, NEXUS_FAMILY, GATEMATE_FAMILY, XC7)
}
"""Block RAM counts pieces of 18 Kbit, of GateMate 20 Kbit, of iCE40 4 Kbit."""
DEVICES = {device: target for target in TARGETS.values() for device in target.parts}
"""The family of every device that can be placed."""


def find_target(name: str) -> Target:
    """The target called ``name``; raises `EcoformerError` if there is none."""
    if name not in TARGETS:
        raise EcoformerError(f"target {name!r}: not supported; choose {' or '.join(TARGETS)}")
    return TARGETS[name]


def target_of(device: str | None, name: str | None = None) -> Target:
    """The target of a device, or of that name; ECP5 if neither is given."""
    if name is None and device is not None:
        return DEVICES[device]
    return find_target(name or ECP5.name)
