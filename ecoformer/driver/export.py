# SPDX-License-Identifier: Apache-2.0
"""The driver as files of a generated design: in Python, without the rest of ecoformer, and in C."""

import enum
import re
from importlib import resources

from ecoformer.spec.frames import (
    CHUNK_HEADER,
    ESCAPE,
    FLIP,
    LINK_IDENTITY,
    LINK_VERSION,
    MAGIC,
    Fault,
    Flag,
    Kind,
    LinkRegister,
)

__all__ = ["c_protocol", "driver_files"]

THIS = "export.py"
OWN = re.compile(r"^from ecoformer\.(?:driver|spec)\.(\w+) import", re.MULTILINE)
"""Imports that become those of neighbours: the driver and the frames lie in one folder then."""


def driver_files() -> dict[str, str]:
    """Text of every file by its name in the folder ``driver``."""
    package = resources.files("ecoformer.driver")
    files = {
        path.name: path.read_text(encoding="utf-8")
        for path in package.iterdir()
        if path.name.endswith((".py", ".c", ".h")) and path.name != THIS
    }
    definition = resources.files("ecoformer.spec") / "frames.py"
    files["frames.py"] = definition.read_text(encoding="utf-8")
    files = {
        name: OWN.sub(r"from .\1 import", text) if name.endswith(".py") else text
        for name, text in files.items()
    }
    files["ecoformer_frames.h"] = c_protocol()
    return dict(sorted(files.items()))


def c_protocol() -> str:
    """The constants of `spec.frames` as a C99 and C++ header ``ecoformer_frames.h``."""
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Frames of the host link, as the generator of this design defines them. */",
        "#ifndef ECOFORMER_FRAMES_H",
        "#define ECOFORMER_FRAMES_H",
        "",
    ]
    numbers = {
        "MAGIC": MAGIC, "ESCAPE": ESCAPE, "FLIP": FLIP, "CHUNK_HEADER": CHUNK_HEADER,
        "LINK_IDENTITY": LINK_IDENTITY, "LINK_PROTOCOL": LINK_VERSION,
    }
    lines += [f"#define ECOFORMER_{name} 0x{number:02x}u" for name, number in numbers.items()]
    groups: dict[str, type[enum.IntEnum] | type[enum.IntFlag]] = {
        "KIND": Kind, "FAULT": Fault, "FLAG": Flag, "LINK": LinkRegister,
    }
    for prefix, members in groups.items():
        lines.append("")
        lines += [f"#define ECOFORMER_{prefix}_{m.name} 0x{m.value:02x}u" for m in members]
    lines += [
        "",
        f"#define ECOFORMER_FAULTS {max(Fault) + 1} /* one more than the largest */",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)
