# SPDX-License-Identifier: Apache-2.0
"""Ready-made configurations, one TOML file each; data only, installed with the package."""

from pathlib import Path

__all__ = ["PRESETS", "find_config"]

PRESETS = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
"""Every preset's file, by its name."""


def find_config(name: str | Path) -> Path:
    """The configuration file that ``name`` means: a file of that path, or else a preset.

    Parameters
    ----------
    name : str or Path
        ``k16`` is the preset, also beside a folder of that name; ``k16.toml`` is a file.

    Returns
    -------
    Path
    """
    path = Path(name)
    return path if path.is_file() else PRESETS.get(str(name), path)
