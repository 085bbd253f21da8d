# SPDX-License-Identifier: Apache-2.0
"""The driver as files: in Python without ecoformer, and in C, against simulated boards."""

import os
import re
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from ecoformer.driver.export import c_protocol
from ecoformer.spec import frames
from ecoformer.spec.frames import Fault, Kind, LinkRegister

PIPE = """
import sys
sys.modules["ecoformer"] = None
import numpy as np

class Pipe:
    settle = 0.05
    def write(self, data):
        sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
    def read(self, most, timeout):
        import os, select
        return os.read(0, most) if select.select([0], [], [], timeout)[0] else b""
    def time(self):
        import time
        return time.monotonic()
    def close(self):
        pass
"""
STANDALONE = PIPE + """
from driver.device import Device
from driver.framed import FramedTransport

rng = np.random.default_rng(1)
with Device(".", FramedTransport(Pipe(), timeout=5)) as device:
    device.load()
    x, v = rng.integers(-128, 128, (2, 3, 8)), rng.integers(-128, 128, (2, 3, 8))
    np.save("x.npy", x); np.save("v.npy", v); np.save("o.npy", device.attend(x, v, [1, 2]))
"""

PROGRAM = r"""
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "ecoformer_engine.h"
#include "ecoformer_engine_parameters.h"
#include "ecoformer_link.h"
#include "tokens.h"

static int put(void *context, const uint8_t *bytes, size_t count)
{
    (void)context;
    while (count > 0) {
        ssize_t sent = write(1, bytes, count);
        if (sent < 0) return -1;
        bytes += sent;
        count -= (size_t)sent;
    }
    return 0;
}

static size_t take(void *context, uint8_t *bytes, size_t most, unsigned milliseconds)
{
    struct pollfd waiting = {0, POLLIN, 0};
    ssize_t count;
    (void)context;
    if (poll(&waiting, 1, (int)milliseconds) <= 0) return 0;
    count = read(0, bytes, most);
    return count > 0 ? (size_t)count : 0;
}

int main(void)
{
    static const struct ecoformer_registers registers = {
        ECOFORMER_ENGINE_STATUS_OFFSET, ECOFORMER_ENGINE_STATUS_SHADOW_FREE_MASK,
        ECOFORMER_ENGINE_PARAM_ADDRESS_OFFSET, ECOFORMER_ENGINE_PARAM_DATA_OFFSET,
        ECOFORMER_ENGINE_COMMIT_OFFSET,
    };
    static struct ecoformer_link link;
    static struct ecoformer_pair words[ECOFORMER_ENGINE_PARAMETER_WORDS];
    static uint8_t results[4096];
    uint32_t value = 0, set, flags = 0;
    size_t got = 0, i;
    int error = 0, status;

    link.write = put;
    link.read = take;
    link.timeout = 2000;
    link.settle = 200;
    link.attempts = 20;
    link.patience = 1000;
    if (ecoformer_open(&link) != 0) return 10;
    if (ecoformer_reset(&link) != 0) return 11;
    if (ecoformer_read(&link, ECOFORMER_ENGINE_FINGERPRINT_OFFSET, &value) != 0
        || value != ECOFORMER_ENGINE_FINGERPRINT_VALUE) return 12;
    if (ecoformer_write(&link, ECOFORMER_ENGINE_ID_OFFSET, 1) != ECOFORMER_REFUSED) return 13;
    if (ecoformer_attend(&link, 0, tokens[0], sizeof tokens[0], BUS_BYTES, results,
                         sizeof results, &got, &error) != 0 || !error) return 14;
    if (ecoformer_read(&link, ECOFORMER_ENGINE_ERRORS_OFFSET, &flags) != 0
        || flags != ECOFORMER_ENGINE_ERRORS_UNKNOWN_SET_MASK) return 15;
    for (set = 0; set < ECOFORMER_ENGINE_PARAMETER_IMAGE_SETS; ++set) {
        for (i = 0; i < ECOFORMER_ENGINE_PARAMETER_WORDS; ++i) {
            words[i].offset = ecoformer_engine_parameters[set][i].address;
            words[i].data = ecoformer_engine_parameters[set][i].data;
        }
        if (ecoformer_load_set(&link, &registers, set, words,
                               ECOFORMER_ENGINE_PARAMETER_WORDS) != 0) return 16;
    }
    for (i = 0; i < SEQUENCES; ++i) {
        status = ecoformer_attend(&link, (uint32_t)(i % 3), tokens[i], sizeof tokens[i], BUS_BYTES,
                                  results, sizeof results, &got, &error);
        if (status != 0 || error) return 17;
        fwrite(results, 1, got, stderr);
    }
    fprintf(stderr, "\n%lu repeats\n", (unsigned long)link.repeats);
    return 0;
}
"""
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1", "-D_POSIX_C_SOURCE=200809L")


def run(command, board, **options):
    """Run a host that talks to ``board`` through its standard input and output."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    os.set_blocking(process.stdout.fileno(), False)
    errors = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    while process.poll() is None:
        try:
            board.write(os.read(process.stdout.fileno(), 4096))
        except BlockingIOError:
            pass
        if data := board.read(4096, 50e-6):
            try:
                process.stdin.write(data)
                process.stdin.flush()
            except BrokenPipeError:
                break
    reader.join()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    return process.returncode, errors[0]


def test_the_folder_needs_nothing_of_ecoformer(engine, builds):
    status, errors = run([sys.executable, "-c", STANDALONE], engine.board(builds),
                         cwd=engine.folder)
    assert status == 0, errors.decode()
    x, v, o = (np.load(engine.folder / f"{name}.npy") for name in "xvo")
    for index, *sequence, result in zip((1, 2), x, v, o):
        np.testing.assert_array_equal(result, engine.expected(index, *sequence))


def test_the_files_import_neighbours_numpy_and_the_standard_library_only(engine):
    for path in (engine.folder / "driver").glob("*.py"):
        text = path.read_text()
        assert not re.search(r"^\s*(from|import) ecoformer", text, re.MULTILINE), path
        for name in re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE):
            assert name in sys.stdlib_module_names | {"numpy", "serial"}, path


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("compiler", [["gcc", *FLAGS]], ids=["c99"])
def test_the_driver_in_c(engine, builds, tmp_path, rng, compiler):
    c = engine.config
    sequences = [
        (i % 3, rng.integers(-128, 128, (8, c.head_dim)), rng.integers(-128, 128, (8, c.value_dim)))
        for i in range(5)
    ]
    from ecoformer.driver.design import Design

    design = Design(engine.folder)
    packets = [design.pack(*sequence) for _, *sequence in sequences]
    rows = ",\n".join("{" + ",".join(map(str, packet)) + "}" for packet in packets)
    (tmp_path / "tokens.h").write_text(
        f"#define BUS_BYTES {c.bus_bytes}\n#define SEQUENCES {len(packets)}u\n"
        f"static const uint8_t tokens[{len(packets)}][{len(packets[0])}] = {{\n{rows}\n}};\n"
    )
    (tmp_path / "main.c").write_text(PROGRAM)
    driver = engine.folder / "driver"
    subprocess.run(
        [*compiler, f"-I{driver}", f"-I{engine.folder / 'include'}", f"-I{tmp_path}",
         tmp_path / "main.c", driver / "ecoformer_link.c", "-o", tmp_path / "host"],
        check=True,
    )
    symbols = subprocess.run(["nm", "-u", tmp_path / "host"], capture_output=True, text=True)
    assert not re.search(r"\b(malloc|calloc|realloc|free)\b", symbols.stdout)
    status, told = run([tmp_path / "host"], engine.board(builds))
    assert status == 0, told
    data, repeats = told.rsplit(b"\n", 2)[0], told.rsplit(b"\n", 2)[1]
    size = design.answer_bytes(8)
    assert repeats == b"0 repeats" and len(data) == size * len(sequences)
    for number, sequence in enumerate(sequences):
        result = design.unpack(data[number * size : (number + 1) * size])
        np.testing.assert_array_equal(result, engine.expected(*sequence))


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_driver_in_c_is_cpp_as_well(engine):
    source = engine.folder / "driver" / "ecoformer_link.c"
    subprocess.run(["g++", "-x", "c++", *FLAGS[1:5], "-fsyntax-only", source], check=True)


def test_the_c_header_has_the_numbers_of_the_definition():
    found = dict(re.findall(r"^#define ECOFORMER_(\w+) (?:0x)?([0-9a-f]+)u", c_protocol(), re.M))
    for prefix, members in {"KIND": Kind, "FAULT": Fault, "LINK": LinkRegister}.items():
        for member in members:
            assert int(found[f"{prefix}_{member.name}"], 16) == member
    assert int(found["MAGIC"], 16) == frames.MAGIC
