# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite register map: one definition for hardware, drivers and documentation."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ecoformer import __version__
from ecoformer.spec.choices import CHOICES

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = [
    "Access", "Error", "Field", "Register", "REGISTERS", "ADDRESS_WIDTH", "BESIDE_PACKETS",
    "IDENTITY", "STREAM_ERROR_BITS", "constants", "errors_of", "flag_bits", "packet_errors",
    "register_map", "reset_values", "stream_errors", "version_word",
]

ADDRESS_WIDTH = 8
"""Bits of the byte addresses on ``s_axil``."""
IDENTITY = int.from_bytes(b"ECOF", "big")


class Error(enum.IntEnum):
    """Bit of each condition in ERRORS and IRQ_ENABLE."""

    MISALIGNED = 0
    TOO_LONG = 1
    UNKNOWN_SET = 2
    ABORTED = 3
    DENOMINATOR = 4
    CONTEXT_LOST = 5
    KEEP_MISMATCH = 6
    PAIR_MISMATCH = 7
    SET_REFUSED = 8


class Access(enum.Enum):
    """How a register responds to reads and writes; every other access answers SLVERR."""

    CONSTANT = "read-only constant"
    STATUS = "read-only"
    STORED = "read-write"
    FLAGS = "read, write 1 to clear"
    COUNTER = "read-only, counts and wraps"
    STROBE = "write-only, acts on the write"

    @property
    def readable(self) -> bool:
        """Whether a read is answered OKAY."""
        return self is not Access.STROBE

    @property
    def writable(self) -> bool:
        """Whether a write may be answered OKAY."""
        return self in (Access.STORED, Access.FLAGS, Access.STROBE)

    @property
    def standard(self) -> str:
        """The access as CMSIS-SVD and IP-XACT name it."""
        if self.readable:
            return "read-write" if self.writable else "read-only"
        return "write-only"


def _always(config):
    return True


def _has_contexts(config):
    return config.flow.has_contexts


def _has_pairs(config):
    return config.flow.has_pairs


def _has_keep(config):
    return config.tkeep


def _has_queue(config):
    return config.next_set_depth > 0


ONLY = {
    Error.CONTEXT_LOST: _has_contexts, Error.KEEP_MISMATCH: _has_keep,
    Error.PAIR_MISMATCH: _has_pairs, Error.SET_REFUSED: _has_queue,
}
"""Whether an engine of a `Config` has an error that not all have."""
BESIDE_PACKETS = {Error.DENOMINATOR, Error.SET_REFUSED}
"""Errors that no packet is answered with."""
STREAM_ERROR_BITS = max(error for error in Error if error is not Error.SET_REFUSED).bit_length()
"""Bits of the number of an error that arises on the streams, not in the registers."""


def errors_of(config: Config) -> tuple[Error, ...]:
    """The errors that an engine of ``config`` counts; those of all engines come first."""
    return tuple(error for error in Error if ONLY.get(error, _always)(config))


def packet_errors(config: Config) -> tuple[Error, ...]:
    """The errors that a packet is answered with in an engine of ``config``."""
    return tuple(error for error in errors_of(config) if error not in BESIDE_PACKETS)


def stream_errors(config: Config) -> tuple[Error, ...]:
    """The errors that arise on the streams of an engine of ``config``, not in its registers."""
    return tuple(error for error in errors_of(config) if error is not Error.SET_REFUSED)


def flag_bits(config: Config) -> int:
    """Bits up to the highest flag of `stream_errors`; some below may be unused."""
    return stream_errors(config)[-1] + 1


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name : str
    high, low : int
        Its most and least significant bit.
    text : str
        What it holds, for documentation.
    values : dict of str to int
        Names of the values of an enumeration.
    exists : callable
        Whether the register of an engine of this `Config` has the field.
    """

    name: str
    high: int
    low: int
    text: str
    values: dict[str, int] | None = None
    exists: Callable[[Config], bool] = _always

    @property
    def width(self) -> int:
        """Number of bits."""
        return self.high - self.low + 1

    @property
    def mask(self) -> int:
        """Its bits within the register."""
        return (1 << self.width) - 1 << self.low

    def get(self, word: int) -> int:
        """The field's number in the register value ``word``."""
        return (word & self.mask) >> self.low


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
    fields : tuple of Field
        Named bits; other bits read 0 and ignore writes. Empty if all 32 are one number.
    exists : callable
        Whether an engine of this `Config` has the register.
    """

    name: str
    offset: int
    access: Access
    text: str
    fields: tuple[Field, ...] = ()
    exists: Callable[[Config], bool] = _always

    @property
    def mask(self) -> int:
        """Bits that exist."""
        return sum(field.mask for field in self.fields) if self.fields else 0xFFFFFFFF

    def __getitem__(self, name: str) -> Field:
        """The field of that name."""
        return next(field for field in self.fields if field.name == name)


def _map(*rows):
    registers = [Register(row[0], 4 * i, *row[1:]) for i, row in enumerate(rows)]
    return {register.name: register for register in registers}


def _choice(name, high, low, text):
    """Field that holds the register code of an enumerated field of the configuration."""
    return Field(name.upper(), high, low, text, CHOICES[name].codes())


def _flags(text):
    return tuple(
        Field(error.name, error, error, text.format(error.name), exists=ONLY.get(error, _always))
        for error in Error
    )


REGISTERS = _map(
    ("ID", Access.CONSTANT, "Identity, the letters ECOF"),
    ("VERSION", Access.CONSTANT, "Version of the generator", (
        Field("MAJOR", 23, 16, "Changes when drivers must"),
        Field("MINOR", 15, 8, "Changes with new features"),
        Field("PATCH", 7, 0, "Changes with corrections"),
    )),
    ("FINGERPRINT", Access.CONSTANT, "First 32 bits of the configuration's SHA-256 fingerprint"),
    ("SHAPE", Access.CONSTANT, "Sizes of a token and its code", (
        Field("HEAD_DIM", 7, 0, "Elements of x"),
        Field("VALUE_DIM", 15, 8, "Elements of v and of a result"),
        Field("CODE_BITS", 23, 16, "Bits of the binary code"),
        Field("ANCHORS", 31, 24, "Support samples of the hash"),
    )),
    ("NUMBERS", Access.CONSTANT, "Signed numbers on the streams", (
        Field("TOKEN_WIDTH", 3, 0, "Bits of an element of x"),
        Field("VALUE_WIDTH", 7, 4, "Bits of an element of v"),
        Field("OUTPUT_WIDTH", 12, 8, "Bits of an element of a result"),
        Field("OUTPUT_FRACTION", 19, 16, "How many of them are fraction"),
        Field("OFFSET_FRACTION", 23, 20, "Fraction bits of the attention offset"),
    )),
    ("METHOD", Access.CONSTANT, "What is computed, and how", (
        _choice("hash", 3, 0, "Hash family"),
        _choice("weights", 7, 4, "What anchors and projections hold"),
        _choice("value_term", 11, 8, "What the offset multiplies"),
        _choice("mask", 15, 12, "Which tokens attend to which"),
        _choice("dataflow", 19, 16, "Form of the attention core"),
        _choice("queries", 23, 20, "Vectors of a token: x, or q and k"),
    )),
    ("STREAM", Access.CONSTANT, "The AXI4-Stream ports", (
        Field("BUS_BYTES", 15, 0, "Bytes per beat"),
        Field("TUSER_WIDTH", 20, 16, "Bits of s_axis_tuser; 0: NEXT_SET names the set"),
        Field("TKEEP", 21, 21, "Both ports have tkeep", exists=_has_keep),
        Field(
            "ERROR_LOW", 22, 22, "The error bit of m_axis_tuser is bit 0, not the one on top",
            exists=lambda config: config.error_low,
        ),
    )),
    ("PARAMETER_SETS", Access.CONSTANT, "Resident parameter sets"),
    ("MAX_TOKENS", Access.CONSTANT, "Longest sequence"),
    ("CYCLES_PER_TOKEN", Access.CONSTANT, "Folding k: a token enters every k cycles"),
    ("STATE_BANKS", Access.CONSTANT, "Sequences accumulated or queried at the same time"),
    ("STATUS", Access.STATUS, "State of the engine", (
        Field("BUSY", 0, 0, "A packet is in flight"),
        Field("SHADOW_FREE", 1, 1, "The shadow set accepts PARAM_DATA and COMMIT"),
    )),
    ("CONTROL", Access.STROBE, "Commands; a 0 does nothing", (
        Field(
            "SOFT_RESET", 0, 0,
            "Aborts the packet being received, if its last beat was not taken before the write: "
            "it is answered by the error beat unless it was bad already, and discarded through "
            "tlast. Complete packets, sets, flags and counters stay",
        ),
        Field(
            "CLEAR_SETS", 1, 1, "Forgets the sets that wait in NEXT_SET", exists=_has_queue,
        ),
    )),
    (
        "NEXT_SET",
        Access.STORED,
        "Parameter set of the packets that begin after the write; sampled with their first beat",
        (
            Field("SET", 30, 0, "Number of the set", exists=_has_contexts),
            Field("BEGIN", 31, 31, "Their context is empty before them", exists=_has_contexts),
        ),
        lambda config: config.tuser_width == 0,
    ),
    ("ERRORS", Access.FLAGS, "Sticky error flags", _flags("{} was counted")),
    (
        "IRQ_ENABLE",
        Access.STORED,
        "irq is high while an enabled flag of ERRORS is set",
        _flags("{} raises irq"),
    ),
    ("PARAM_ADDRESS", Access.STORED, "Shadow word that PARAM_DATA writes", (
        Field("WORD", 11, 0, "32-bit word of the row; counts up with every PARAM_DATA, wraps"),
        Field("ROW", 27, 12, "Row of the region"),
        Field("REGION", 31, 28, "Parameter memory"),
    )),
    ("PARAM_DATA", Access.STROBE, "Writes the shadow word; SLVERR while SHADOW_FREE is 0"),
    (
        "COMMIT",
        Access.STROBE,
        "Makes the shadow the set of this number, for packets that begin from now on; SLVERR "
        "while SHADOW_FREE is 0 or when there is no such set",
    ),
    ("MISALIGNED", Access.COUNTER, "Packets whose tlast was not on a token's last beat"),
    ("TOO_LONG", Access.COUNTER, "Packets of more than MAX_TOKENS tokens"),
    ("UNKNOWN_SET", Access.COUNTER, "Packets for a set that does not exist or is not loaded"),
    (
        "ABORTED",
        Access.COUNTER,
        "Packets that a soft reset ended; an error found on the beat taken in its cycle is counted "
        "instead",
    ),
    ("DENOMINATOR", Access.COUNTER, "Tokens whose denominator was not positive; they answer 0"),
    (
        "TOKENS",
        Access.COUNTER,
        "Result tokens delivered: the token's last beat was taken on m_axis; error answers have "
        "none",
    ),
    (
        "SEQUENCES",
        Access.COUNTER,
        "Good packets delivered: the beat with m_axis_tlast was taken, without the error bit",
    ),
    (
        "BUSY",
        Access.COUNTER,
        "Cycles with a packet in flight: from the cycle after its first input beat was taken, "
        "through the one in which its last output beat is",
    ),
    (
        "STARVED",
        Access.COUNTER,
        "Cycles with s_axis_tvalid 0 within an input packet: after its first beat was taken, "
        "before its last was, discarded beats included",
    ),
    ("BLOCKED", Access.COUNTER, "Cycles with m_axis_tvalid 1 and m_axis_tready 0"),
    (
        "ENGINES",
        Access.CONSTANT,
        "Packets worked on at once; an engine without this register works on one",
        (),
        lambda config: config.engines > 1,
    ),
    (
        "CONTEXT_LOST",
        Access.COUNTER,
        "Packets that go on with a context that is lost, was never begun or does not exist",
        (),
        _has_contexts,
    ),
    ("CONTEXTS", Access.CONSTANT, "Resident contexts", (), _has_contexts),
    (
        "KEEP_MISMATCH",
        Access.COUNTER,
        "Packets with a null byte in a token's data or a data byte in its padding",
        (),
        _has_keep,
    ),
    (
        "NEXT_SET_DEPTH", Access.CONSTANT, "Sets that may wait in NEXT_SET", (), _has_queue,
    ),
    (
        "NEXT_SET_LEVEL", Access.STATUS, "Sets that wait in NEXT_SET", (), _has_queue,
    ),
    (
        "PAIR_MISMATCH",
        Access.COUNTER,
        "Pairs of good packets that ask for different sets",
        (),
        _has_pairs,
    ),
    (
        "SET_REFUSED",
        Access.COUNTER,
        "Writes of NEXT_SET that were refused, whose sets are missing",
        (),
        _has_queue,
    ),
)
"""Every register by name, in address order."""

QUEUED = Access.STROBE, (
    "Adds the parameter set of a packet to those that wait, in the order of the packets. The first "
    "beat of a packet takes one, and is not accepted while none waits; SLVERR while NEXT_SET_DEPTH "
    "sets wait, which SET_REFUSED counts"
)
"""NEXT_SET of an engine with ``next_set_depth``: access and text."""


def register_map(config: Config) -> dict[str, Register]:
    """The registers that an engine of ``config`` has, with the fields that they have there.

    dict name → Register, in address order.
    """
    built = {
        name: replace(
            register, fields=tuple(field for field in register.fields if field.exists(config))
        )
        for name, register in REGISTERS.items()
        if register.exists(config)
    }
    if config.next_set_depth:
        access, text = QUEUED
        built["NEXT_SET"] = replace(built["NEXT_SET"], access=access, text=text)
    return built


def constants(config: Config) -> dict[str, int]:
    """Values of the CONSTANT registers of an engine: dict name → 32-bit integer.

    A field holds the configuration field of the same name.
    """
    values = {
        "ID": IDENTITY,
        "VERSION": version_word(__version__),
        "FINGERPRINT": int(config.fingerprint[:8], 16),
    }
    for register in register_map(config).values():
        if register.access is Access.CONSTANT and register.name not in values:
            fields = register.fields or (Field(register.name, 31, 0, register.text),)
            values[register.name] = sum(_number(field, config) << field.low for field in fields)
    return values


def version_word(version: str) -> int:
    """Value of VERSION for a version ``major.minor.patch``."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major << 16 | minor << 8 | patch


def reset_values(config: Config) -> dict[str, int]:
    """Value of every readable register of an engine after ``aresetn``, by name."""
    values = {**constants(config), "STATUS": REGISTERS["STATUS"]["SHADOW_FREE"].mask}
    return {
        name: values.get(name, 0)
        for name, register in register_map(config).items()
        if register.access.readable
    }


def _number(field, config):
    value = getattr(config, field.name.lower())
    return field.values[value] if field.values else value
