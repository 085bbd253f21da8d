"""The AXI4-Lite register map: one definition for hardware, drivers and documentation."""

import enum
from dataclasses import dataclass

from ecoformer import __version__

__all__ = ["Access", "Error", "Register", "REGISTERS", "ADDRESS_WIDTH", "IDENTITY", "constants"]

ADDRESS_WIDTH = 8
"""Bits of the byte addresses on ``s_axil``."""
IDENTITY = int.from_bytes(b"ECOF", "big")


class Error(enum.IntEnum):
    """Bit of each condition in ERRORS and IRQ_ENABLE."""

    MISALIGNED = 0
    TOO_LONG = 1
    UNKNOWN_SET = 2
    DENOMINATOR = 3


class Access(enum.Enum):
    """What a register does with reads and writes."""

    CONSTANT = "read-only constant"
    STATUS = "read-only"
    STORED = "read-write"
    FLAGS = "read, write 1 to clear"
    COUNTER = "read-only, counts and wraps"
    STROBE = "write-only, acts on the write"


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Parameters
    ----------
    name : str
    offset : int
        Byte address, a multiple of 4.
    access : Access
    text : str
        What it holds, for documentation.
    """

    name: str
    offset: int
    access: Access
    text: str


def _map(*rows):
    registers = [Register(name, 4 * i, access, text) for i, (name, access, text) in enumerate(rows)]
    return {register.name: register for register in registers}


REGISTERS = _map(
    ("ID", Access.CONSTANT, "Identity, the letters ECOF"),
    ("VERSION", Access.CONSTANT, "Generator version: major, minor, patch in bits 23:16, 15:8, 7:0"),
    ("FINGERPRINT", Access.CONSTANT, "First 32 bits of the configuration's SHA-256 fingerprint"),
    ("SHAPE", Access.CONSTANT, "head_dim-1, value_dim-1, code_bits-1, anchors-1, a byte each"),
    ("SETS", Access.CONSTANT, "Resident parameter sets"),
    ("MAX_TOKENS", Access.CONSTANT, "Longest sequence"),
    ("CYCLES_PER_TOKEN", Access.CONSTANT, "Folding k"),
    (
        "STATUS",
        Access.STATUS,
        "Bit 0: a packet is in flight. Bit 1: the shadow set accepts PARAM_DATA and COMMIT",
    ),
    (
        "ERRORS",
        Access.FLAGS,
        "Sticky flags: " + ", ".join(f"bit {e.value} {e.name}" for e in Error),
    ),
    ("IRQ_ENABLE", Access.STORED, "irq is high while an enabled flag of ERRORS is set"),
    (
        "PARAM_ADDRESS",
        Access.STORED,
        "Shadow word to write: region 31:28, row 27:12, word 11:0; word counts up by itself",
    ),
    ("PARAM_DATA", Access.STROBE, "Writes the shadow word; SLVERR while STATUS bit 1 is 0"),
    (
        "COMMIT",
        Access.STROBE,
        "Makes the shadow the set of this number, for packets that begin from now on; SLVERR "
        "while STATUS bit 1 is 0 or when there is no such set",
    ),
    ("MISALIGNED", Access.COUNTER, "Packets whose tlast was not on a token's last beat"),
    ("TOO_LONG", Access.COUNTER, "Packets of more than MAX_TOKENS tokens"),
    ("UNKNOWN_SET", Access.COUNTER, "Packets for a set that does not exist or is not loaded"),
    ("DENOMINATOR", Access.COUNTER, "Tokens whose denominator was not positive; they answer 0"),
    ("TOKENS", Access.COUNTER, "Tokens of good packets delivered"),
    ("SEQUENCES", Access.COUNTER, "Good packets delivered"),
    ("BUSY", Access.COUNTER, "Cycles with a packet in flight"),
    ("STARVED", Access.COUNTER, "Cycles in a packet that the input had no beat for"),
    ("BLOCKED", Access.COUNTER, "Cycles that a result beat waited for m_axis_tready"),
)
"""Every register by name, in address order."""


def constants(config):
    """Values of the CONSTANT registers of an engine: dict name → 32-bit integer."""
    major, minor, patch = (int(part) for part in __version__.split("."))
    shape = (config.head_dim, config.value_dim, config.code_bits, config.anchors)
    return {
        "ID": IDENTITY,
        "VERSION": major << 16 | minor << 8 | patch,
        "FINGERPRINT": int(config.fingerprint[:8], 16),
        "SHAPE": sum(extent - 1 << 8 * i for i, extent in enumerate(shape)),
        "SETS": config.parameter_sets,
        "MAX_TOKENS": config.max_tokens,
        "CYCLES_PER_TOKEN": config.cycles_per_token,
    }
