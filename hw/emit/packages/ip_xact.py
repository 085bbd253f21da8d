# SPDX-License-Identifier: Apache-2.0
"""IP-XACT (IEEE 1685-2014): a component with its buses, registers, pins, files and parameters."""

import xml.etree.ElementTree as xml
from dataclasses import asdict
from typing import Any

from ecoformer.hw.emit.packages.pins import (
    CLOCK,
    INTERRUPT,
    LIBRARY,
    REGISTERS,
    RESET,
    VENDOR,
    buses,
    pins,
)
from ecoformer.spec.config import Config
from ecoformer.spec.registers import ADDRESS_WIDTH, Access, Field, register_map, reset_values

__all__ = ["component"]

XMLNS = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
AMBA = {"vendor": "amba.com", "library": "AMBA4"}
STREAM = "AXI4Stream", "r0p0_1"
LITE = "AXI4-Lite", "r0p0_0"
SIGNAL = {"vendor": "xilinx.com", "library": "signal", "version": "1.0"}
"""AMBA defines no interrupt, so it is that of the attributes in the Verilog."""


def component(config: Config, description: dict[str, Any]) -> str:
    """Text of ``component.xml``; paths in it are those from the folder ``ip-xact``.

    Parameters
    ----------
    config : Config
    description : dict
        The manifest.
    """
    name = description["name"]
    root = xml.Element("ipxact:component", {
        "xmlns:ipxact": XMLNS,
        "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xsi:schemaLocation": f"{XMLNS} {XMLNS}/index.xsd",
    })
    _texts(root, vendor=VENDOR, library=LIBRARY, name=name, version=description["version"])
    _bus_interfaces(_child(root, "busInterfaces"), description)
    _memory_map(_child(_child(root, "memoryMaps"), "memoryMap"), config)
    _model(_child(root, "model"), description)
    _file_sets(_child(root, "fileSets"), name)
    about = f"EcoFormer attention engine, configuration {description['fingerprint']}"
    _texts(root, description=about)
    _parameters(_child(root, "parameters"), config)
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _bus_interfaces(parent, description):
    for bus, members in buses(description).items():
        node = _child(parent, "busInterface")
        kind, version = LITE if bus == REGISTERS else STREAM
        ports = {"ACLK": CLOCK, "ARESETn": RESET}
        ports |= {pin.signal.upper(): pin.name for pin in members}
        _interface(node, bus, {**AMBA, "name": kind, "version": version}, f"{kind}_rtl", ports)
        role = _child(node, "slave" if bus.startswith("s_") else "master")
        if bus == REGISTERS:
            _child(role, "memoryMapRef", memoryMapRef=REGISTERS)
    node = _child(parent, "busInterface")
    kind = {**SIGNAL, "name": "interrupt"}
    _interface(node, INTERRUPT, kind, "interrupt_rtl", {"INTERRUPT": INTERRUPT})
    _child(node, "master")


def _interface(node, name, kind, abstraction, ports):
    _texts(node, name=name)
    _child(node, "busType", **kind)
    chosen = _child(_child(node, "abstractionTypes"), "abstractionType")
    _child(chosen, "abstractionRef", **{**kind, "name": abstraction})
    maps = _child(chosen, "portMaps")
    for logical, physical in ports.items():
        entry = _child(maps, "portMap")
        _texts(_child(entry, "logicalPort"), name=logical)
        _texts(_child(entry, "physicalPort"), name=physical)


def _memory_map(node, config):
    _texts(node, name=REGISTERS)
    block = _child(node, "addressBlock")
    _texts(
        block, name="registers", baseAddress="'h0", range=f"'h{1 << ADDRESS_WIDTH:x}", width=32,
        usage="register", volatile="true",
    )
    reset = reset_values(config)
    for register in register_map(config).values():
        entry = _child(block, "register")
        _texts(
            entry, name=register.name, description=register.text,
            addressOffset=f"'h{register.offset:x}", size=32, access=register.access.standard,
        )
        # A register has a field at least, by the schema.
        for field in register.fields or (Field("VALUE", 31, 0, register.text),):
            _field(entry, register, field, reset.get(register.name))
    _texts(node, addressUnitBits=8)


def _field(parent, register, field, reset):
    node = _child(parent, "field")
    _texts(node, name=field.name, description=field.text, bitOffset=field.low)
    if reset is not None:
        value = f"'h{field.get(reset):x}"
        _texts(_child(_child(node, "resets"), "reset"), value=value)
    _texts(node, bitWidth=field.width, access=register.access.standard)
    if field.values:
        values = _child(node, "enumeratedValues")
        for name, number in field.values.items():
            _texts(_child(values, "enumeratedValue"), name=name, value=number)
    if register.access is Access.FLAGS:
        _texts(node, modifiedWriteValue="oneToClear")


def _model(node, description):
    name = description["name"]
    view = _child(_child(node, "views"), "view")
    _texts(view, name="rtl", envIdentifier="Verilog::", componentInstantiationRef="verilog")
    instance = _child(_child(node, "instantiations"), "componentInstantiation")
    _texts(instance, name="verilog", language="Verilog", moduleName=name)
    _texts(_child(instance, "fileSetRef"), localName="rtl")
    ports = _child(node, "ports")
    for pin in pins(description):
        port = _child(ports, "port")
        _texts(port, name=pin.name)
        wire = _child(port, "wire")
        _texts(wire, direction=pin.direction)
        if pin.width > 1:
            vector = _child(_child(wire, "vectors"), "vector")
            _texts(vector, left=pin.width - 1, right=0)


def _file_sets(node, name):
    sets = {
        "rtl": {f"rtl/{name}.v": "verilogSource"},
        "testbench": {f"tb/tb_{name}.v": "verilogSource"},
        "constraints": {f"vivado/{name}_ooc.xdc": "xdc"},
        "software": {f"include/{name}.h": "cSource", f"{name}.svd": "svd"},
    }
    for title, files in sets.items():
        entry = _child(node, "fileSet")
        _texts(entry, name=title)
        for path, kind in files.items():
            file = _child(entry, "file")
            _texts(file, name=f"../{path}")
            own = {} if kind.endswith("Source") else {"user": kind}
            _child(file, "fileType", "user" if own else kind, **own)
            if path.endswith(".h"):
                _texts(file, isIncludeFile="true")


def _parameters(parent, config):
    for name, value in asdict(config).items():
        kind, text = ("string", f'"{value}"') if isinstance(value, str) else ("int", int(value))
        node = _child(parent, "parameter", parameterId=name, resolve="immediate", type=kind)
        _texts(node, name=name, value=text)


def _child(parent, tag, text=None, **attributes):
    node = xml.SubElement(parent, f"ipxact:{tag}", attributes)
    node.text = None if text is None else str(text)
    return node


def _texts(parent, **texts):
    for tag, text in texts.items():
        _child(parent, tag, text)
