# SPDX-License-Identifier: Apache-2.0
"""The register map for other tools: C header, CMSIS-SVD, JSON and Markdown of one engine."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from typing import TYPE_CHECKING

from ecoformer import __version__
from ecoformer.spec.registers import ADDRESS_WIDTH, Access, register_map, reset_values

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = ["c_header", "svd", "as_json", "as_markdown"]


def c_header(config: Config, name: str) -> str:
    """C99 and C++ header ``<name>.h``: offsets, constants, fields, enumerations, driver helpers.

    Parameters
    ----------
    config : Config
    name : str
        Top module; prefix of every identifier.
    """
    prefix, reset, lines, enums = name.upper(), reset_values(config), [], []
    for register in register_map(config).values():
        stem = f"{prefix}_{register.name}"
        lines += ["", f"/* {register.text} ({register.access.value}). */"]
        lines.append(f"#define {stem}_OFFSET 0x{register.offset:02x}u")
        if register.access is Access.CONSTANT:
            lines.append(f"#define {stem}_VALUE 0x{reset[register.name]:08x}u")
        for field in register.fields:
            lines += [
                f"/* {field.name}: {field.text} */",
                f"#define {stem}_{field.name}_SHIFT {field.low}u",
                f"#define {stem}_{field.name}_MASK 0x{field.mask:08x}u",
            ]
            if field.values:
                members = [
                    f"    {stem}_{field.name}_{value.upper()} = {number}"
                    for value, number in field.values.items()
                ]
                enums += [f"\nenum {name}_{field.name.lower()} {{", ",\n".join(members), "};"]
    select = register_map(config).get("NEXT_SET")
    helpers = HELPERS
    if select:
        helper = BEGIN_HELPER if select.fields else SELECT_HELPER
        which, they = QUEUED if config.next_set_depth else STORED
        helpers += helper.replace("@WHICH@", which).replace("@THEY@", they)
        helpers += ROOM_HELPER if config.next_set_depth else ""
    return HEADER.format(
        name=name, prefix=prefix, version=__version__, fingerprint=config.fingerprint,
        size=1 << ADDRESS_WIDTH, registers="\n".join(lines), enums="\n".join(enums),
        helpers=helpers.replace("@name@", name).replace("@NAME@", prefix),
    )


def svd(config: Config, name: str) -> str:
    """CMSIS-SVD 1.3 text ``<name>.svd`` of a device whose one peripheral is the engine at 0."""
    device = xml.Element("device", {
        "schemaVersion": "1.3",
        "xmlns:xs": "http://www.w3.org/2001/XMLSchema-instance",
        "xs:noNamespaceSchemaLocation": "CMSIS-SVD.xsd",
    })
    about = f"EcoFormer attention engine, configuration {config.fingerprint[:16]}"
    _children(device, vendor="EcoFormer", name=name, version=__version__, description=about)
    _children(device, addressUnitBits=8)
    _children(device, width=32, size=32, resetValue="0x00000000", resetMask="0xffffffff")
    peripheral = xml.SubElement(xml.SubElement(device, "peripherals"), "peripheral")
    _children(peripheral, name=name, description=about, baseAddress="0x00000000")
    _children(
        xml.SubElement(peripheral, "addressBlock"),
        offset="0x0", size=f"0x{1 << ADDRESS_WIDTH:x}", usage="registers",
    )
    _children(
        xml.SubElement(peripheral, "interrupt"), name=f"{name}_irq",
        description="Level, high while an enabled error flag is set.", value=0,
    )
    registers, reset = xml.SubElement(peripheral, "registers"), reset_values(config)
    for register in register_map(config).values():
        node = xml.SubElement(registers, "register")
        _children(
            node, name=register.name, description=register.text,
            addressOffset=f"0x{register.offset:02x}", access=register.access.standard,
            resetValue=f"0x{reset.get(register.name, 0):08x}",
        )
        if register.access is Access.FLAGS:
            _children(node, modifiedWriteValues="oneToClear")
        if register.fields:
            _svd_fields(xml.SubElement(node, "fields"), register)
    xml.indent(device)
    return xml.tostring(device, encoding="unicode", xml_declaration=True) + "\n"


def as_json(config: Config, name: str) -> str:
    """The map as JSON text."""
    reset = reset_values(config)
    registers = [
        {
            "name": register.name,
            "offset": register.offset,
            "access": register.access.value,
            "readable": register.access.readable,
            "writable": register.access.writable,
            "reset": reset.get(register.name),
            "text": register.text,
            "fields": [
                {
                    "name": field.name, "high": field.high, "low": field.low, "text": field.text,
                    "values": field.values or {},
                }
                for field in register.fields
            ],
        }
        for register in register_map(config).values()
    ]
    about = {
        "name": name,
        "version": __version__,
        "fingerprint": config.fingerprint,
        "address_width": ADDRESS_WIDTH,
        "registers": registers,
    }
    return json.dumps(about, indent=2) + "\n"


def as_markdown(config: Config, name: str) -> str:
    """The map as a Markdown page."""
    reset = reset_values(config)
    lines = [
        f"# Registers of {name}",
        "",
        f"AXI4-Lite, 32-bit words, {1 << ADDRESS_WIDTH} bytes. Any other access answers SLVERR.",
        f"Configuration `{config.fingerprint}`, generator {__version__}.",
        "",
        "| offset | register | access | after reset | |",
        "|---|---|---|---|---|",
    ]
    for register in register_map(config).values():
        value = f"0x{reset[register.name]:08X}" if register.name in reset else ""
        lines.append(
            f"| 0x{register.offset:02X} | {register.name} | {register.access.value} | {value} "
            f"| {register.text} |"
        )
    lines += ["", "## Fields", "", "| register | bits | field | |", "|---|---|---|---|"]
    for register in register_map(config).values():
        for field in register.fields:
            bits = f"{field.high}:{field.low}" if field.width > 1 else f"{field.low}"
            values = ", ".join(f"{number} {name}" for name, number in (field.values or {}).items())
            text = f"{field.text}: {values}" if values else field.text
            lines.append(f"| {register.name} | {bits} | {field.name} | {text} |")
    return "\n".join([*lines, ""])


def _svd_fields(parent, register):
    for field in register.fields:
        node = xml.SubElement(parent, "field")
        _children(node, name=field.name, description=field.text)
        _children(node, bitOffset=field.low, bitWidth=field.width)  # lsb and msb are read by few
        if field.values:
            values = xml.SubElement(node, "enumeratedValues")
            for name, number in field.values.items():
                _children(xml.SubElement(values, "enumeratedValue"), name=name, value=number)


def _children(parent, **texts):
    for tag, text in texts.items():
        xml.SubElement(parent, tag).text = str(text)


HEADER = """\
/*
 * Registers of {name}, an EcoFormer attention engine. C99 and C++.
 * Generator {version}, configuration {fingerprint}.
 */
#ifndef {prefix}_H
#define {prefix}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {prefix}_SIZE 0x{size:x}u /* bytes of address space */
{registers}
{enums}
{helpers}
#ifdef __cplusplus
}}
#endif

#endif
"""

HELPERS = """
static inline uint32_t @name@_read(const volatile uint32_t *base, uint32_t offset)
{
    return base[offset / 4u];
}

static inline void @name@_write(volatile uint32_t *base, uint32_t offset, uint32_t value)
{
    base[offset / 4u] = value;
}

/* Number held by a field of a register value: mask and shift of the field. */
static inline uint32_t @name@_field(uint32_t value, uint32_t mask, uint32_t shift)
{
    return (value & mask) >> shift;
}

/* Whether the engine at base is the one of this header. */
static inline int @name@_matches(const volatile uint32_t *base)
{
    return @name@_read(base, @NAME@_ID_OFFSET) == @NAME@_ID_VALUE
        && @name@_read(base, @NAME@_FINGERPRINT_OFFSET) == @NAME@_FINGERPRINT_VALUE;
}

/* Abort the packet being received, as after a DMA transfer that stopped in the middle. */
static inline void @name@_soft_reset(volatile uint32_t *base)
{
    @name@_write(base, @NAME@_CONTROL_OFFSET, @NAME@_CONTROL_SOFT_RESET_MASK);
}

/* One word of a parameter set and its PARAM_ADDRESS. */
struct @name@_word {
    uint32_t address;
    uint32_t data;
};

/*
 * Wait for the shadow, write the words of a set and commit it. Returns 0, or -1 if the shadow does
 * not become free within that many reads of STATUS: the engine must deliver packets meanwhile.
 */
static inline int @name@_load_set(volatile uint32_t *base, uint32_t set,
                                  const struct @name@_word *words, size_t count, uint32_t polls)
{
    uint32_t expected = 0;
    size_t i;

    while (!(@name@_read(base, @NAME@_STATUS_OFFSET) & @NAME@_STATUS_SHADOW_FREE_MASK)) {
        if (polls-- == 0u) {
            return -1;
        }
    }
    for (i = 0; i < count; ++i) {
        if (i == 0u || words[i].address != expected) {
            @name@_write(base, @NAME@_PARAM_ADDRESS_OFFSET, words[i].address);
        }
        @name@_write(base, @NAME@_PARAM_DATA_OFFSET, words[i].data);
        expected = words[i].address + 1u;
    }
    @name@_write(base, @NAME@_COMMIT_OFFSET, set);
    return 0;
}
"""

STORED = "Parameter set of the packets that begin from now on", "they begin their contexts"
QUEUED = (
    "Parameter set of one packet, after those that wait; refused without room",
    "it begins its context",
)

ROOM_HELPER = """
/* Sets that select_set may add before packets take some: no more than this is accepted. */
static inline uint32_t @name@_set_room(const volatile uint32_t *base)
{
    return @NAME@_NEXT_SET_DEPTH_VALUE - @name@_read(base, @NAME@_NEXT_SET_LEVEL_OFFSET);
}

/* Forget the sets that wait, as after a chain of transfers that stopped. */
static inline void @name@_clear_sets(volatile uint32_t *base)
{
    @name@_write(base, @NAME@_CONTROL_OFFSET, @NAME@_CONTROL_CLEAR_SETS_MASK);
}
"""

BEGIN_HELPER = """
/* @WHICH@, and whether @THEY@. */
static inline void @name@_select_set(volatile uint32_t *base, uint32_t set, int begin)
{
    @name@_write(base, @NAME@_NEXT_SET_OFFSET,
                 set | (begin ? @NAME@_NEXT_SET_BEGIN_MASK : 0u));
}
"""

SELECT_HELPER = """
/* @WHICH@. */
static inline void @name@_select_set(volatile uint32_t *base, uint32_t set)
{
    @name@_write(base, @NAME@_NEXT_SET_OFFSET, set);
}
"""
