# SPDX-License-Identifier: Apache-2.0
"""Writing a testbench and its vectors, for simulators without Python.

The text keeps to IEEE 1364-2005, so it runs in Icarus, Verilator and any commercial simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from ecoformer.sim.rows import row_bits
from ecoformer.sim.selection import selection
from ecoformer.sim.testbench.queries import second_stream
from ecoformer.sim.testbench.stimulus import REGISTER_CYCLES, Step, Stimulus
from ecoformer.sim.testbench.text import TEXT
from ecoformer.sim.verify import expected_outputs
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import STATUS, register_writes
from ecoformer.spec.workload import Workload

__all__ = ["write_testbench", "testbench"]

STEP_BITS = 4 + 8 + 32 + 32
"""A step in ``steps.hex``, from the top: `Step`, address, mask, data."""


def write_testbench(
    folder: Path,
    config: Config,
    image: ParameterImage,
    workload: Workload,
    *,
    name: str,
    seed: int = 0,
) -> None:
    """Write ``folder/tb/tb_<name>.v`` and ``folder/vectors/``.

    The testbench streams ``workload``, then a script that covers the wire contract.

    Parameters
    ----------
    name : str
        Top module of the engine.
    seed : int
        Seed of the script and of random gaps.
    """
    vectors = folder / "vectors"
    vectors.mkdir(exist_ok=True)
    (folder / "tb").mkdir(exist_ok=True)
    stimulus = Stimulus(config, image, workload, np.random.default_rng(seed))
    width, select = row_bits(config), selection(config)
    lines = {
        "parameters.hex": _hex(register_writes(config, image), 41),
        "steps.hex": _hex(_steps(stimulus.steps), STEP_BITS),
        "input.hex": _hex(
            _beats(stimulus.inputs, width, select.vector), width + 1 + sum(select.pins.values())
        ),
        "expected.hex": _hex(
            _beats(stimulus.answers, width, select.answer_vector), width + 1 + answer_bits(config)
        ),
    }
    if stimulus.asking:
        lines["queries.hex"] = _hex(
            _beats(stimulus.asking, width, select.vector), width + 1 + sum(select.pins.values())
        )
    for vector_file, numbers in lines.items():
        (vectors / vector_file).write_text("\n".join(numbers) + "\n", encoding="utf-8")
    expected = [outputs for outputs, _ in expected_outputs(config, image, workload)]
    with (vectors / "expected.npz").open("wb") as file:
        np.savez_compressed(file, outputs=np.concatenate(expected), lengths=workload.answers)
    counts = {
        "WRITES": len(lines["parameters.hex"]),
        "STEPS": len(lines["steps.hex"]),
        "INPUTS": len(lines["input.hex"]),
        "OUTPUTS": len(lines["expected.hex"]),
        "QUERIES": len(stimulus.asking),
        "LIMIT": stimulus.limit + REGISTER_CYCLES * len(lines["parameters.hex"]),
    }
    longest = int(max(workload.lengths.max(), workload.answers.max()))
    text = testbench(config, name, counts, longest=longest, seed=seed)
    (folder / "tb" / f"tb_{name}.v").write_text(text, encoding="utf-8")


def testbench(
    config: Config, name: str, counts: dict[str, int], *, longest: int, seed: int
) -> str:
    """Verilog text of the testbench.

    Parameters
    ----------
    name : str
        Top module of the engine.
    counts : dict of str to int
        Lines of the vector files: WRITES, STEPS, INPUTS, OUTPUTS, QUERIES; and LIMIT, in cycles.
    longest : int
        Tokens of the longest sequence, for the watchdog.
    """
    k = config.cycles_per_token
    quiet = (2 * longest + 64) * k + 2 * config.flow.transform_cycles + 4096
    quiet += config.flow.query_cycles(longest) + 2 * config.contexts
    words = {
        "NAME": name,
        "DATA": 8 * config.bus_bytes,
        "ANSWER": answer_bits(config) + keep_bits(config),
        **_beside(config),
        "SEED": f"32'h{(seed * 2654435761 + 1) % 2**32 or 1:08x}",
        "QUIET": 16 * quiet,
        "STATUS": STATUS,
        **{step.name: f"4'd{step}" for step in Step},
        **counts,
    }
    words = {**second_stream(config), **words}  # whose texts hold the other words
    text = TEXT
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def answer_bits(config: Config) -> int:
    """Bits that an answer's beat has beside ``tdata`` and ``tlast``."""
    return config.wire.m_tuser_width + config.wire.tid_width


def keep_bits(config: Config) -> int:
    """Bits of ``tkeep``; 0 without it."""
    return sum(config.wire.keep_fields.values())


def _beside(config):
    """What the testbench says of the pins beside ``tdata`` and ``tlast``, by the words it holds."""
    beside = selection(config).pins
    keep = {f"t{name}": bits for name, bits in config.wire.keep_fields.items()}
    pins = {**beside, **keep}
    outputs = {"tid": config.wire.tid_width, "tuser": config.wire.m_tuser_width}
    outputs = {f"m_axis_{name}": bits for name, bits in outputs.items() if bits}
    wires = {**outputs, **{f"m_axis_{name}": bits for name, bits in keep.items()}}
    sent = [*reversed(beside), "tlast", *keep, "tdata"]
    return {
        "USER": sum(pins.values()),
        "PIN": "".join(f" .s_axis_{name}(s_axis_{name})," for name in reversed(pins)),
        "REG": "".join(f"  reg [{bits - 1}:0] s_axis_{name};\n" for name, bits in pins.items()),
        "CLEAR": "".join(
            f"      s_axis_{name} <= {{{bits}{{1'b0}}}};\n" for name, bits in pins.items()
        ),
        "BEAT": f"{{{', '.join(f's_axis_{name}' for name in sent)}}}",
        "WIRES": "".join(f"  wire [{bits - 1}:0] {pin};\n" for pin, bits in wires.items()),
        "ANSWERED": ", ".join(outputs),
        "ROW": ", ".join([*(f"m_axis_{name}" for name in keep), "m_axis_tdata"]),
        "FIELDS": ", ".join(
            pin.removeprefix("m_axis_") for pin in (*outputs, "m_axis_tlast", *keep, "m_axis_tdata")
        ),
        "OUT": "".join(f", .{pin}({pin})" for pin in wires),
    }


def _beats(
    beats: Iterable[tuple[int, bool, np.ndarray]], width: int, vector: Callable[[int], int]
) -> Iterator[int]:
    """Vector of every beat, from the top: what is beside the data, tlast, data."""
    for number, last, beat in beats:
        yield (vector(number) << 1 | last) << width | int.from_bytes(beat.tobytes(), "little")


def _steps(steps):
    for step, address, mask, data in steps:
        yield (step << 8 | address) << 64 | mask << 32 | data


def _hex(numbers, width):
    return [f"{number:0{-(-width // 4)}x}" for number in numbers]
