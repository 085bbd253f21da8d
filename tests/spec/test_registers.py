# SPDX-License-Identifier: Apache-2.0
from dataclasses import fields

import pytest

from ecoformer import __version__
from ecoformer.spec.choices import CHOICES
from ecoformer.spec.config import ADDED, GOALS, Config
from ecoformer.spec.registers import (
    ADDRESS_WIDTH,
    BESIDE_PACKETS,
    IDENTITY,
    REGISTERS,
    Access,
    Error,
    constants,
    errors_of,
    flag_bits,
    packet_errors,
    register_map,
    stream_errors,
)

CONFIGS = [
    Config(),
    Config(
        head_dim=128, value_dim=1, code_bits=128, anchors=127, cycles_per_token=1_024,
        max_tokens=29_000, parameter_sets=256, bus_bytes=512, output_width=24, output_fraction=12,
        offset_fraction=8, state_banks=8, tuser_width=16,
    ),
    Config(
        head_dim=1, value_dim=1, code_bits=1, anchors=1, token_width=4, value_width=4,
        output_width=4, output_fraction=0, max_tokens=1, cycles_per_token=2, parameter_sets=1,
        bus_bytes=1, dataflow="xnor", tuser_width=0,
    ),
    Config(engines=3, bus_bytes=16),
    Config(mask="causal", contexts=61, tuser_width=0),
    Config(queries="cross"),
    Config(tkeep=True),
    Config(error_low=True),
    Config(tuser_width=0, next_set_depth=1_000),
]


def test_offsets_are_words_in_order_within_the_address_space():
    offsets = [register.offset for register in REGISTERS.values()]
    assert offsets == list(range(0, 4 * len(REGISTERS), 4))
    assert offsets[-1] < 1 << ADDRESS_WIDTH
    assert [register.name for register in REGISTERS.values()] == list(REGISTERS)


def test_offsets_that_drivers_know_never_move():
    assert {name: register.offset for name, register in REGISTERS.items()} == {
        "ID": 0x00, "VERSION": 0x04, "FINGERPRINT": 0x08, "SHAPE": 0x0C, "NUMBERS": 0x10,
        "METHOD": 0x14, "STREAM": 0x18, "PARAMETER_SETS": 0x1C, "MAX_TOKENS": 0x20,
        "CYCLES_PER_TOKEN": 0x24, "STATE_BANKS": 0x28, "STATUS": 0x2C, "CONTROL": 0x30,
        "NEXT_SET": 0x34, "ERRORS": 0x38, "IRQ_ENABLE": 0x3C, "PARAM_ADDRESS": 0x40,
        "PARAM_DATA": 0x44, "COMMIT": 0x48, "MISALIGNED": 0x4C, "TOO_LONG": 0x50,
        "UNKNOWN_SET": 0x54, "ABORTED": 0x58, "DENOMINATOR": 0x5C, "TOKENS": 0x60,
        "SEQUENCES": 0x64, "BUSY": 0x68, "STARVED": 0x6C, "BLOCKED": 0x70,
        "ENGINES": 0x74, "CONTEXT_LOST": 0x78, "CONTEXTS": 0x7C, "KEEP_MISMATCH": 0x80,
        "NEXT_SET_DEPTH": 0x84, "NEXT_SET_LEVEL": 0x88, "PAIR_MISMATCH": 0x8C,
        "SET_REFUSED": 0x90,
    }


def test_every_error_has_a_flag_an_enable_and_a_counter():
    assert [error.name for error in Error] == [
        "MISALIGNED", "TOO_LONG", "UNKNOWN_SET", "ABORTED", "DENOMINATOR", "CONTEXT_LOST",
        "KEEP_MISMATCH", "PAIR_MISMATCH", "SET_REFUSED",
    ]
    assert [error.value for error in Error] == list(range(len(Error)))
    for error in Error:
        assert REGISTERS[error.name].access is Access.COUNTER
        for name in ("ERRORS", "IRQ_ENABLE"):
            assert REGISTERS[name][error.name].mask == 1 << error


def test_everything_is_described_in_plain_lines():
    for register in REGISTERS.values():
        for text in (register.text, *(field.text for field in register.fields)):
            assert text and text.isascii() and "\n" not in text


def test_fields_lie_within_their_register_and_do_not_overlap():
    for register in REGISTERS.values():
        for field in register.fields:
            assert 0 <= field.low <= field.high < 32
            assert not field.values or max(field.values.values()) < 1 << field.width
        widths = [field.width for field in register.fields] or [32]
        assert sum(widths) == register.mask.bit_count()


def test_only_an_engine_without_tuser_has_next_set_and_only_several_have_engines():
    for width in (0, 4, 16):
        for engines in (1, 2):
            config = Config(tuser_width=width, engines=engines, bus_bytes=16)
            missing = REGISTERS.keys() - register_map(config).keys()
            assert ("NEXT_SET" in missing) == bool(width)
            assert ("ENGINES" in missing) == (engines == 1)
            assert missing <= {
                "NEXT_SET", "ENGINES", "CONTEXT_LOST", "CONTEXTS", "KEEP_MISMATCH",
                "NEXT_SET_DEPTH", "NEXT_SET_LEVEL", "PAIR_MISMATCH",
                "SET_REFUSED",
            }


def test_only_an_engine_with_contexts_counts_lost_ones():
    full, causal = Config(tuser_width=0), Config(mask="causal", tuser_width=0)
    assert [*errors_of(causal)] == [*errors_of(full), Error.CONTEXT_LOST]
    for config, has in ((full, False), (causal, True)):
        registers = register_map(config)
        assert all((name in registers) == has for name in ("CONTEXT_LOST", "CONTEXTS"))
        for name in ("ERRORS", "IRQ_ENABLE"):
            assert registers[name].mask == (0b111111 if has else 0b11111)
        assert bool(registers["NEXT_SET"].fields) == has
        assert registers["NEXT_SET"].mask == 0xFFFFFFFF


def test_only_an_engine_with_two_streams_counts_pairs_that_do_not_match():
    cross, separate = Config(queries="cross"), Config(queries="separate")
    assert [*errors_of(cross)] == [*errors_of(separate), Error.PAIR_MISMATCH]
    assert (flag_bits(cross), flag_bits(separate)) == (8, 5)
    assert "PAIR_MISMATCH" not in register_map(separate)
    registers = register_map(cross)
    assert registers.keys() - register_map(separate).keys() == {"PAIR_MISMATCH"}
    for name in ("ERRORS", "IRQ_ENABLE"):
        assert registers[name].mask == 0b10011111


def test_only_an_engine_with_tkeep_counts_null_bytes_and_says_so():
    plain, keep = Config(), Config(tkeep=True, error_low=True)
    assert [*errors_of(keep)] == [*errors_of(plain), Error.KEEP_MISMATCH]
    assert (flag_bits(plain), flag_bits(keep)) == (5, 7)
    assert register_map(keep)["ERRORS"].mask == 0b1011111
    assert {f.name for f in register_map(keep)["STREAM"].fields} - {
        f.name for f in register_map(plain)["STREAM"].fields
    } == {"TKEEP", "ERROR_LOW"}
    assert constants(keep)["STREAM"] ^ constants(plain)["STREAM"] == 0b11 << 21


def test_a_queue_behind_next_set_is_written_and_not_read():
    plain, queued = (register_map(Config(tuser_width=0, next_set_depth=n)) for n in (0, 5))
    assert (plain["NEXT_SET"].access, queued["NEXT_SET"].access) == (Access.STORED, Access.STROBE)
    assert queued.keys() - plain.keys() == {
        "NEXT_SET_DEPTH", "NEXT_SET_LEVEL", "SET_REFUSED",
    }
    assert [field.name for field in plain["CONTROL"].fields] == ["SOFT_RESET"]
    assert queued["CONTROL"]["CLEAR_SETS"].mask == 0b10
    assert constants(Config(tuser_width=0, next_set_depth=5))["NEXT_SET_DEPTH"] == 5
    with_queue = Config(tuser_width=0, next_set_depth=5)
    assert errors_of(with_queue) == (*stream_errors(with_queue), Error.SET_REFUSED)
    assert flag_bits(with_queue) == 5 and queued["ERRORS"].mask == 0b100011111
    assert {*errors_of(with_queue)} - {*packet_errors(with_queue)} == BESIDE_PACKETS
    causal = register_map(Config(tuser_width=0, next_set_depth=5, mask="causal"))
    assert causal["NEXT_SET"]["BEGIN"].mask == 1 << 31


@pytest.mark.parametrize("config", CONFIGS)
def test_constants_tell_the_whole_configuration(config):
    values = constants(config)
    assert values.keys() == {
        name for name, register in register_map(config).items()
        if register.access is Access.CONSTANT
    }
    assert all(0 <= value < 1 << 32 for value in values.values())
    assert values["ID"] == IDENTITY and values["ID"].to_bytes(4, "big") == b"ECOF"
    version = [field.get(values["VERSION"]) for field in REGISTERS["VERSION"].fields]
    assert ".".join(map(str, version)) == __version__
    assert f"{values['FINGERPRINT']:08x}" == config.fingerprint[:8]
    shown = dict(ADDED)
    for name, value in values.items():
        shown[name.lower()] = value
        for field in REGISTERS[name].fields:
            number = field.get(value)
            names = {number: name for name, number in (field.values or {}).items()}
            shown[field.name.lower()] = names.get(number, number)
    for field in fields(Config):
        if field.name not in GOALS:
            assert shown[field.name] == getattr(config, field.name), field.name
    assert {field.name.lower() for field in REGISTERS["METHOD"].fields} == CHOICES.keys()
