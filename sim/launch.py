# SPDX-License-Identifier: Apache-2.0
"""One step of cocotb's runner in its own process: ``python -m ecoformer.sim.launch STEP.json``.

The runner changes the environment and the working folder of its process, and ends it on failure.
In a process of its own it may, and several simulations run in parallel.
"""

import json
import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

__all__ = ["main"]


def main(path: str) -> None:
    """Run the step described in the JSON file ``path``: simulator, method and its arguments."""
    step = json.loads(Path(path).read_text(encoding="utf-8"))
    runner = get_runner(step["simulator"])
    arguments = step["arguments"]
    if "timescale" in arguments:
        arguments["timescale"] = tuple(arguments["timescale"])
    getattr(runner, step["method"])(**arguments)


if __name__ == "__main__":
    main(sys.argv[1])
