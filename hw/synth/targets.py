# SPDX-License-Identifier: Apache-2.0
"""FPGA families: how Yosys maps to them and what their cells are called."""

from collections.abc import Mapping
from dataclasses import dataclass

from ecoformer.errors import EcoformerError

__all__ = ["DEVICES", "SPEEDS", "TARGETS", "Target", "check_fits", "find_target"]


@dataclass(frozen=True)
class Target:
    """One FPGA family.

    Parameters
    ----------
    name, title : str
    flat, kept : str
        Yosys commands that map the engine flattened, and with its hierarchy kept.
    resources : dict of str to dict
        Number of each resource that a cell takes, by resource and cell type.
    placed : bool
        Whether place and route is available.
    packs : bool
        Whether registers are moved into its multipliers (:mod:`hw.synth.packing`) and logic into
        its carry cells (:mod:`hw.synth.carries`).
    """

    name: str
    title: str
    flat: str
    kept: str
    resources: dict
    placed: bool
    packs: bool = False

    def count(self, cells: Mapping[str, int]) -> dict[str, int]:
        """Resources that ``cells``, a number per cell type, take."""
        return {
            resource: sum(number * cells.get(cell, 0) for cell, number in share.items())
            for resource, share in self.resources.items()
        }


TARGETS = {
    "ecp5": Target(
        name="ecp5",
        title="Lattice ECP5",
        flat="synth_ecp5 -nowidelut",
        kept="synth_ecp5 -nowidelut -noflatten",
        resources={
            # A distributed RAM takes four LUTs for its bits and two for its write port.
            "LUT": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
            "FF": {"TRELLIS_FF": 1},
            "DSP": {"MULT18X18D": 1},
            "block RAM": {"DP16KD": 1},
        },
        placed=True,
        packs=True,
    ),
    "xc7": Target(
        name="xc7",
        title="Xilinx 7 series",
        flat="synth_xilinx -family xc7 -noiopad -noclkbuf -flatten",
        kept="synth_xilinx -family xc7 -noiopad -noclkbuf",
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
        placed=False,
    ),
    "ice40": Target(
        name="ice40",
        title="Lattice iCE40 UltraPlus",
        # Without DSP blocks, because Yosys leaves some of their outputs without a driver, and
        # without ABC9, which does not finish on an engine.
        flat="synth_ice40 -noabc9 -device u",
        kept="synth_ice40 -noabc9 -device u -noflatten",
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
        placed=False,
    ),
}
"""Block RAM counts pieces of 18 Kbit, of iCE40 4 Kbit."""

DEVICES: dict[str, dict[str, int]] = {
    "12k": {"LUT": 24_288, "FF": 24_288, "DSP": 28, "block RAM": 56},
    "25k": {"LUT": 24_288, "FF": 24_288, "DSP": 28, "block RAM": 56},
    "45k": {"LUT": 43_848, "FF": 43_848, "DSP": 72, "block RAM": 108},
    "85k": {"LUT": 83_640, "FF": 83_640, "DSP": 156, "block RAM": 208},
}
"""What ECP5 devices have, by nextpnr's names: LFE5U-12F and so on. The smallest is sold as half of
the next one, but is the same die, all of which the open tools use."""
SAVERS = {
    "LUT": "more cycles_per_token, fewer code_bits or value_dim",
    "FF": "more cycles_per_token, fewer code_bits or value_dim",
    "DSP": "more cycles_per_token, or weights = \"ternary\" or \"pow2\"",
    "block RAM": "fewer parameter_sets or max_tokens, or another dataflow",
}
"""Fields of the configuration that save a resource."""
SPEEDS = (6, 7, 8)


def find_target(name: str) -> Target:
    """The target called ``name``; raises `EcoformerError` if there is none."""
    if name not in TARGETS:
        raise EcoformerError(f"target {name!r}: not supported; choose {' or '.join(TARGETS)}")
    return TARGETS[name]


def check_fits(resources: Mapping[str, int], device: str) -> None:
    """Raise `EcoformerError` if an ECP5 device has not what the mapped design needs.

    Says by how much, and what makes the design smaller.
    """
    lacking = {
        name: (needed, DEVICES[device][name])
        for name, needed in resources.items() if needed > DEVICES[device][name]
    }
    if not lacking:
        return
    counts = ", ".join(
        f"{needed:,} {name}, {needed - there:,} more than its {there:,}"
        for name, (needed, there) in lacking.items()
    )
    savers = "; ".join(dict.fromkeys(SAVERS[name] for name in lacking))
    larger = [
        name for name, there in DEVICES.items()
        if all(needed <= there[resource] for resource, needed in resources.items())
    ]
    choice = f"choose --device {larger[0]}, or {savers}" if larger else savers
    raise EcoformerError(f"LFE5U-{device[:-1]}F: too small, {counts}; {choice}")
