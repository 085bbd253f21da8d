# SPDX-License-Identifier: Apache-2.0
"""Every file of the packages: where it lies in a generated folder, and what writes it."""

from typing import Any

from ecoformer.hw.emit.packages import fusesoc, ip_xact, litex, templates, vivado
from ecoformer.spec.config import Config

__all__ = ["package_files", "package_paths"]

FORMS = {
    "{name}.core": fusesoc.core,
    "ip-xact/component.xml": ip_xact.component,
    "vivado/package_ip.tcl": vivado.package_ip,
    "vivado/project.tcl": vivado.project,
    "vivado/{name}_ooc.xdc": vivado.clock,
    "templates/{name}_instance.v": templates.verilog,
    "templates/{name}_amaranth.py": templates.amaranth,
    "templates/{name}_litex.py": litex.peripheral,
}


def package_files(config: Config, description: dict[str, Any]) -> dict[str, str]:
    """Text of every file by its path in the folder.

    Parameters
    ----------
    config : Config
    description : dict
        The manifest of the engine.
    """
    name = description["name"]
    return {path.format(name=name): form(config, description) for path, form in FORMS.items()}


def package_paths(name: str) -> list[str]:
    """Paths of the files of an engine called ``name``."""
    return [path.format(name=name) for path in FORMS]
