# SPDX-License-Identifier: Apache-2.0
"""What place and route of a family needs of a netlist, and Yosys does not give."""

import re

__all__ = ["release_carry_in", "widen_luts"]


def release_carry_in(module: dict) -> None:
    """Open the carry in of a Nexus carry chain whose first cell does not look at it.

    Yosys ties it to a constant, and nextpnr takes no cell but another carry there.
    """
    ties = {
        cell["connections"]["Z"][0]
        for cell in module["cells"].values() if re.fullmatch("V(LO|HI)", cell["type"])
    } | {"0", "1", "x"}
    for cell in module["cells"].values():
        if cell["type"] == "CCU2" and cell["connections"].get("CIN", [None])[0] in ties:
            del cell["connections"]["CIN"]
            cell["port_directions"].pop("CIN", None)


def widen_luts(module: dict) -> None:
    """Make every LUT of Gowin one of four inputs, because nextpnr times no path through others.

    Unused inputs are 0, and the table is repeated for their other value.
    """
    for cell in module["cells"].values():
        if found := re.fullmatch("LUT([123])", cell["type"]):
            inputs = int(found[1])
            rows = 1 << inputs
            table = cell["parameters"]["INIT"][-rows:].rjust(rows, "0")
            cell["type"], cell["parameters"]["INIT"] = "LUT4", table * (16 // rows)
            for index in range(inputs, 4):
                cell["connections"][f"I{index}"] = ["0"]
                cell["port_directions"][f"I{index}"] = "input"
