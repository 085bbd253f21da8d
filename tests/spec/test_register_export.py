# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cmsis_svd import model, parser
from lxml import etree

from ecoformer import __version__
from ecoformer.spec.config import Config
from ecoformer.spec.register_export import as_json, as_markdown, c_header, svd
from ecoformer.spec.registers import Access, register_map, reset_values

NAME = "my_engine"
CONFIGS = {
    "defaults": Config(),
    "no tuser": Config(tuser_width=0, dataflow="xnor", max_tokens=64, parameter_sets=3),
    "contexts": Config(mask="causal", contexts=5, tuser_width=0),
    "queue": Config(tuser_width=0, next_set_depth=5, tkeep=True, error_low=True),
}
SCHEMAS = sorted((Path(parser.__file__).parent / "schemas").glob("CMSIS-SVD_1_3_*.xsd"))
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-pedantic", "-Werror"]
COMPILERS = {"c99": ["gcc", "-std=c99", "-x", "c"], "c++": ["g++", "-std=c++11", "-x", "c++"]}

by_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def compile_and_run(folder, config, compiler, main):
    """Output of a program that includes the header, compiled without a single warning."""
    (folder / f"{NAME}.h").write_text(c_header(config, NAME))
    (folder / "main.c").write_text(f'#include "{NAME}.h"\n#include <stdio.h>\n{main}\n')
    command = [*COMPILERS[compiler], *STRICT, "-I", str(folder), "-o", str(folder / "main")]
    built = subprocess.run([*command, str(folder / "main.c")], capture_output=True, text=True)
    assert not built.returncode and not built.stderr, built.stderr
    return subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("compiler", COMPILERS)
@by_config
def test_the_header_tells_the_map(config, compiler, tmp_path):
    """Every macro and enumerator, as the compiler understands it."""
    want, prefix, reset = {}, NAME.upper(), reset_values(config)
    for register in register_map(config).values():
        stem = f"{prefix}_{register.name}"
        want[f"{stem}_OFFSET"] = register.offset
        if register.access is Access.CONSTANT:
            want[f"{stem}_VALUE"] = reset[register.name]
        for field in register.fields:
            want[f"{stem}_{field.name}_SHIFT"] = field.low
            want[f"{stem}_{field.name}_MASK"] = field.mask
            for value, number in (field.values or {}).items():
                want[f"{stem}_{field.name}_{value.upper()}"] = number
    want[f"{prefix}_SIZE"] = 256
    prints = "\n".join(f'printf("{name} %lu\\n", (unsigned long){name});' for name in want)
    text = compile_and_run(
        tmp_path, config, compiler, f"int main(void) {{\n{prints}\nreturn 0; }}"
    )
    assert dict((line.split()[0], int(line.split()[1])) for line in text.splitlines()) == want
    header = c_header(config, NAME)
    defined = re.findall(rf"(?:#define |^    )({prefix}_\w+)(?: 0x| \d| =)", header, re.M)
    assert sorted(defined) == sorted(want), "a macro that is not of the map, or twice"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_header_loads_a_set(compiler, tmp_path):
    """Against a memory with the semantics of the registers that matter here."""
    config = CONFIGS["no tuser"]
    main = """
    int main(void) {
        uint32_t memory[MY_ENGINE_SIZE / 4] = {0};
        const struct my_engine_word words[] = {{0x10000005u, 7u}, {0x10000006u, 8u}, {0x20u, 9u}};
        printf("%d ", my_engine_load_set(memory, 2, words, 3, 10));
        printf("%u\\n", (unsigned)memory[MY_ENGINE_PARAM_DATA_OFFSET / 4]);
        memory[MY_ENGINE_STATUS_OFFSET / 4] = MY_ENGINE_STATUS_SHADOW_FREE_MASK;
        printf("%d ", my_engine_load_set(memory, 2, words, 3, 10));
        printf("%u ", (unsigned)memory[MY_ENGINE_PARAM_ADDRESS_OFFSET / 4]);
        printf("%u ", (unsigned)memory[MY_ENGINE_PARAM_DATA_OFFSET / 4]);
        printf("%u\\n", (unsigned)memory[MY_ENGINE_COMMIT_OFFSET / 4]);
        printf("%d ", my_engine_matches(memory));
        memory[MY_ENGINE_ID_OFFSET / 4] = MY_ENGINE_ID_VALUE;
        memory[MY_ENGINE_FINGERPRINT_OFFSET / 4] = MY_ENGINE_FINGERPRINT_VALUE;
        printf("%d\\n", my_engine_matches(memory));
        my_engine_soft_reset(memory);
        my_engine_select_set(memory, 5);
        printf("%u ", (unsigned)memory[MY_ENGINE_CONTROL_OFFSET / 4]);
        printf("%u ", (unsigned)memory[MY_ENGINE_NEXT_SET_OFFSET / 4]);
        printf("%u\\n", (unsigned)my_engine_field(MY_ENGINE_STREAM_VALUE,
               MY_ENGINE_STREAM_BUS_BYTES_MASK, MY_ENGINE_STREAM_BUS_BYTES_SHIFT));
        return 0;
    }"""
    lines = compile_and_run(tmp_path, config, compiler, main).splitlines()
    assert lines == ["-1 0", "0 32 9 2", "0 1", "1 5 8"]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_header_tells_how_many_sets_there_is_room_for(compiler, tmp_path):
    main = """
    int main(void) {
        uint32_t memory[MY_ENGINE_SIZE / 4] = {0};
        printf("%u ", (unsigned)my_engine_set_room(memory));
        memory[MY_ENGINE_NEXT_SET_LEVEL_OFFSET / 4] = 3;
        printf("%u ", (unsigned)my_engine_set_room(memory));
        my_engine_select_set(memory, 6);
        my_engine_clear_sets(memory);
        printf("%u ", (unsigned)memory[MY_ENGINE_NEXT_SET_OFFSET / 4]);
        printf("%u", (unsigned)memory[MY_ENGINE_CONTROL_OFFSET / 4]);
        return 0;
    }"""
    assert compile_and_run(tmp_path, CONFIGS["queue"], compiler, main) == "5 2 6 2"


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
@by_config
def test_the_svd_is_valid(config, schema):
    tree = etree.fromstring(svd(config, NAME).encode())
    etree.XMLSchema(etree.parse(schema)).assertValid(tree)


def test_a_broken_svd_is_not_valid():
    text = svd(Config(), NAME).replace("read-only", "readable", 1)
    assert not etree.XMLSchema(etree.parse(SCHEMAS[-1])).validate(etree.fromstring(text.encode()))


@by_config
def test_the_svd_tells_the_map(config, tmp_path):
    (tmp_path / "x.svd").write_text(svd(config, NAME))
    device = parser.SVDParser.for_xml_file(tmp_path / "x.svd").get_device()
    assert (device.vendor, device.name, device.version) == ("EcoFormer", NAME, __version__)
    assert device.width == 32
    (peripheral,) = device.peripherals
    assert (peripheral.name, peripheral.base_address) == (NAME, 0)
    (interrupt,) = peripheral.interrupts
    assert (interrupt.name, interrupt.value) == (f"{NAME}_irq", 0)
    (block,) = peripheral.address_blocks
    assert (block.offset, block.size) == (0, 256)
    reset = reset_values(config)
    kinds = {
        (True, False): model.SVDAccessType.READ_ONLY, (True, True): model.SVDAccessType.READ_WRITE,
        (False, True): model.SVDAccessType.WRITE_ONLY,
    }
    found = {register.name: register for register in peripheral.registers}
    assert list(found) == list(register_map(config))
    for name, register in register_map(config).items():
        got = found[name]
        assert (got.address_offset, got.description) == (register.offset, register.text)
        assert got.access == kinds[register.access.readable, register.access.writable]
        assert (got.size, got.reset_value) == (32, reset.get(name, 0)), name
        clears = got.modified_write_values == model.SVDModifiedWriteValuesType.ONE_TO_CLEAR
        assert clears == (register.access is Access.FLAGS), name
        assert [
            (field.name, field.bit_offset, field.bit_width, field.description)
            for field in got.fields
        ] == [(field.name, field.low, field.width, field.text) for field in register.fields]
        for field, want in zip(got.fields, register.fields, strict=True):
            values = {}
            for group in field.enumerated_values or []:
                values |= {entry.name: entry.value for entry in group.enumerated_values}
            assert values == (want.values or {})


@by_config
def test_the_json_tells_the_map(config):
    exported = json.loads(as_json(config, NAME))
    assert exported["fingerprint"] == config.fingerprint and exported["version"] == __version__
    reset = reset_values(config)
    for got, (name, register) in zip(
        exported["registers"], register_map(config).items(), strict=True
    ):
        assert (got["name"], got["offset"], got["text"]) == (name, register.offset, register.text)
        assert got["reset"] == reset.get(name)
        assert (got["readable"], got["writable"]) == (
            register.access.readable, register.access.writable,
        )
        for field, want in zip(got["fields"], register.fields, strict=True):
            assert (field["name"], field["high"], field["low"], field["values"]) == (
                want.name, want.high, want.low, want.values or {},
            )


@by_config
def test_the_page_has_a_row_of_everything(config):
    page = as_markdown(config, NAME)
    for register in register_map(config).values():
        assert f"| 0x{register.offset:02X} | {register.name} | {register.access.value} |" in page
        for field in register.fields:
            assert re.search(rf"^\| {register.name} \| [\d:]+ \| {field.name} \|", page, re.M)
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.count("|") in (5, 6) for line in rows)
    assert ("| NEXT_SET |" in page) == (config.tuser_width == 0)


@pytest.mark.parametrize("form", [c_header, svd, as_json, as_markdown])
def test_every_form_is_reproducible_plain_text_of_this_engine(form):
    text = form(Config(), NAME)
    assert text == form(Config(), NAME) and text.isascii() and text.endswith("\n")
    assert text != form(replace(Config(), head_dim=16), NAME)
    assert all(name in text for name in register_map(Config()))
