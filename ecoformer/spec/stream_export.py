# SPDX-License-Identifier: Apache-2.0
"""The streams for integrators: the datasheet of one engine's ports, for JSON and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecoformer import __version__
from ecoformer.spec.registers import register_map

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = ["as_dict", "as_markdown"]


def as_dict(config: Config) -> dict[str, dict[str, Any]]:
    """All ports as JSON-ready values: dict of bus → what a token, and every pin beside it, is.

    ``token`` has its ``bytes``, ``beats`` and ``padding_bytes``, and its ``fields`` in order.
    Element i of a field lies in the bits from ``8·first_byte + i·pitch_bits`` on, sign-extended to
    ``pitch_bits``; a token begins with byte 0, ``tdata[7:0]`` of its first beat. ``tuser`` has its
    ``fields`` and, on the output, what a frame FIFO that drops bad frames must be told.
    ``set_from`` is where a packet's set comes from; ``next_set_depth`` as in the configuration.
    """
    wire = config.wire
    ports: dict[str, dict[str, Any]] = {
        inlet.bus: {
            "bus_bytes": config.bus_bytes,
            "token": _token(config, inlet.token_bytes, _input_fields(config, inlet)),
            "tuser": _tuser(_input_tuser(config)),
            "tid_width": wire.tid_width,
            "sampled": "first beat of a packet",
            "set_from": f"{inlet.bus}_tuser" if config.tuser_width else "NEXT_SET",
            "next_set_depth": config.next_set_depth,
        }
        for inlet in wire.inlets
    }
    ports |= {
        "m_axis": {
            "bus_bytes": config.bus_bytes,
            "token": _token(config, wire.output_bytes, _output_fields(config)),
            "tuser": _tuser(_output_tuser(config)) | {
                "error_bit": wire.error_bit,
                "bad_frame_mask": 1 << wire.error_bit,
                "bad_frame_value": 1 << wire.error_bit,
            },
            "tid_width": wire.tid_width,
            "error_answer": "one beat of zeros with tlast and the error bit",
        },
    }
    for port in ports.values():
        port["tkeep"] = bool(wire.keep_fields)
    return ports


def as_markdown(config: Config, name: str) -> str:
    """The datasheet as a Markdown page."""
    lines = [
        f"# Streams of {name}",
        "",
        f"AXI4-Stream, {config.bus_bytes} bytes per beat, byte 0 in `tdata[7:0]`. "
        f"Configuration `{config.fingerprint}`, generator {__version__}.",
        "",
        "Elements are two's complement, sign-extended to the next; a bit of a code is 1 for +1.",
    ]
    for bus, port in as_dict(config).items():
        token = port["token"]
        lines += [
            "",
            f"## {bus}",
            "",
            f"A token takes {token['bytes']} bytes and {token['padding_bytes']} of padding: "
            f"{token['beats']} beats. It begins on a beat of its own.",
            "",
            "| field | first byte | elements | bits of an element | bits to the next |",
            "|---|---|---|---|---|",
            *(
                f"| {field['name']} | {field['first_byte']} | {field['elements']} "
                f"| {field['bits']} | {field['pitch_bits']} |"
                for field in token["fields"]
            ),
        ]
        if rows := [f"| {row} |" for row in _beside(config, bus, port)]:
            lines += ["", "| pin | bits | |", "|---|---|---|", *rows]
    if select := register_map(config).get("NEXT_SET"):
        lines += ["", "## NEXT_SET", "", f"{select.text}."]
    return "\n".join([*lines, ""])


def _token(config, size, fields):
    beats = -(-size // config.bus_bytes)
    return {
        "bytes": size, "beats": beats, "padding_bytes": beats * config.bus_bytes - size,
        "fields": fields,
    }


def _input_fields(config, inlet):
    family = config.family
    fields = [
        {
            "name": side.vector, "first_byte": i * family.key_bytes,
            "elements": family.key_elements, "bits": family.element_width,
            "pitch_bits": family.element_pitch,
        }
        for i, side in enumerate(inlet.all)
    ]
    if inlet.value_elements:
        fields.append({
            "name": "v", "first_byte": inlet.bytes, "elements": inlet.value_elements,
            "bits": config.value_width, "pitch_bits": 8,
        })
    return fields


def _output_fields(config):
    return [{
        "name": "result", "first_byte": 0, "elements": config.value_dim,
        "bits": config.output_width, "pitch_bits": 8 * config.wire.output_element_bytes,
        "fraction_bits": config.output_fraction,
    }]


def _input_tuser(config):
    """Name and bits of what ``s_axis_tuser`` holds, from its lowest bit; nothing without it."""
    fields = {"set": config.tuser_width, "begin": config.wire.begin_bits}
    return fields if config.tuser_width else {}


def _output_tuser(config):
    bits = {"user": ("set", config.tuser_width), "error": ("error", 1)}
    return dict(bits[name] for name in config.wire.m_tuser_fields)


def _tuser(fields):
    at, found = 0, []
    for name, bits in fields.items():
        if bits:
            found.append({"name": name, "low": at, "bits": bits})
        at += bits
    return {"width": at, "fields": found}


def _beside(config, bus, port):
    """Rows of the pins beside the data: name, bits, meaning."""
    given = bus != "m_axis"
    rises = ", which its last beat may be the first to say" * config.wire.begin_bits
    when = (
        "sampled on the packet's first beat; hold it on all" if given else "the same on all beats"
    )
    for field in port["tuser"]["fields"]:
        high, low = field["low"] + field["bits"] - 1, field["low"]
        place = f"{high}:{low}" if field["bits"] > 1 else f"{low}"
        text = {
            "set": f"parameter set; {when}",
            "begin": "the packet begins its context; as the set",
            "error": f"the packet was bad{rises}; a frame FIFO's mask and value for bad frames are "
                     f"{1 << low:#x}",
        }[field["name"]]
        yield f"`{bus}_tuser` | {place} | {text}"
    if port["tid_width"]:
        yield f"`{bus}_tid` | {port['tid_width'] - 1}:0 | context; {when}"
    for width in config.wire.keep_fields.values():
        last = port["token"]
        data = config.bus_bytes - last["padding_bytes"]
        yield (
            f"`{bus}_tkeep` | {width - 1}:0 | all ones; on a token's last beat "
            f"{(1 << data) - 1:#x}: padding is null bytes"
        )
