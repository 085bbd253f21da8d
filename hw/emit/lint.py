# SPDX-License-Identifier: Apache-2.0
"""Messages of ``verilator --lint-only -Wall`` that do not apply to a design, rule by rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecoformer.spec.network.load import Design

__all__ = [
    "LOAD_WAIVERS", "NETWORK_WAIVERS", "WAIVERS", "Waiver", "network_waivers", "waivers",
]


@dataclass(frozen=True)
class Waiver:
    """Messages of one Verilator rule that are expected.

    Parameters
    ----------
    rule : str
    match : str
        Pattern of the message; ``*`` matches anything.
    why : str
        Why the message is harmless.
    """

    rule: str
    match: str
    why: str


WAIVERS = (
    Waiver(
        "DECLFILENAME",
        "Filename * does not match MODULE name: *",
        "One file holds the engine with all its modules; only the top has the file's name.",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Bits of signal are not used: *",
        "Sums are computed in full and stored in the width that provably holds them, rows of "
        "parameters are padded to 32-bit words, and byte addresses of registers end in 00: the "
        "remaining bits go nowhere.",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: '_*_'",
        "A sum of whose bits the used ones have a name of their own; what remains is its carry.",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: 'trace_*'",
        "A probe for simulations: the code of every token as it is hashed; which units work.",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: 's_axil_a*prot'",
        "Protection bits of AXI4-Lite: the registers are not secret.",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: '*__row'",
        "A parameter memory with one row per set does not ask which.",
    ),
    Waiver(
        "WIDTHEXPAND",
        "Operator * expects * bits on the *HS, but *HS's CONST * generates * bits.*",
        "A constant is written with the bits that it needs; Verilog extends it with zeros.",
    ),
    Waiver(
        "WIDTHEXPAND",
        "Operator * expects * bits on the *HS, but *HS's SIGNED generates * bits.*",
        "Both operands are signed and the shorter one is sign-extended, as it should be.",
    ),
    Waiver(
        "WIDTHEXPAND",
        "Operator SHIFTL expects * bits on the LHS, but LHS's * generates * bits.*",
        "What is shifted left is first extended with zeros to the width of the result.",
    ),
    Waiver(
        "WIDTHTRUNC",
        "Logical operator LOGNOT expects 1 bit on the LHS, but LHS's * generates * bits.*",
        "!x of a vector is x == 0.",
    ),
    Waiver(
        "WIDTHTRUNC",
        "Operator ASSIGNW expects * bits on the Assign RHS, but Assign RHS's SHIFTR generates *",
        "Selecting a part of a vector by a variable is a shift of which the low bits are kept.",
    ),
)
"""Every message is one of these; anything else is a mistake in the design."""
NETWORK_WAIVERS = (
    *WAIVERS,
    Waiver(
        "WIDTHEXPAND",
        "Operator ADD expects * bits on the *HS, but *HS's VARREF '*' generates * bits.*",
        "An addend without a sign is extended with zeros to the width of the sum.",
    ),
    Waiver(
        "WIDTHEXPAND",
        "Operator GT expects * bits on the *HS, but *HS's VARREF '*' generates * bits.*",
        "Numbers without a sign are compared in the width of the longer one.",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: 'guarded'",
        "Whether a denominator was replaced, which an engine counts in a register.",
    ),
    Waiver(
        "UNOPTFLAT",
        "Signal unoptimizable: Circular combinational logic: '*o__payload'",
        "A score is 0 if the error bit beside it is set: one bit of a vector follows another.",
    ),
)
"""The same for whole networks."""
LOAD_WAIVERS = (
    *NETWORK_WAIVERS,
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: '*loaded__*'",
        "Bytes of a load that a memory passes on, behind the last one and behind a copy of one.",
    ),
)
"""The same for those whose parameters can be loaded."""


def network_waivers(design: Design) -> Sequence[Waiver]:
    """Those of the network of ``design``."""
    return LOAD_WAIVERS if design.loadable else NETWORK_WAIVERS


def waivers(
    name: str, rules: Sequence[Waiver] = WAIVERS, *, without: Waiver | None = None
) -> str:
    """Verilator control file for the engine or network ``name``.

    Parameters
    ----------
    name : str
        Name of the top module and, with ``.v``, of its file.
    rules : sequence of Waiver
    without : Waiver
        One to leave out, to see what it hides.
    """
    lines = [
        "// What Verilator need not say of this engine, and why. Nothing else is silenced:",
        "//",
        f"//   $ verilator --lint-only -Wall lint/{name}.vlt rtl/{name}.v",
        "",
        "`verilator_config",
    ]
    for waiver in rules:
        if waiver is not without:
            lines += [
                "",
                f"// {waiver.why}",
                f'lint_off -rule {waiver.rule} -file "*{name}.v" -match "{waiver.match}"',
            ]
    return "\n".join([*lines, ""])
