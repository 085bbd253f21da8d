# SPDX-License-Identifier: Apache-2.0
"""What is measured: each module is a command that writes its sections of ``docs/results``.

To add one: take the arguments of `benchmarks.results.section.arguments`, start with ``begin`` and
end with ``write_section``; write the first lines of a new page by hand. A section depends on
everything its module imports. Where the Verilog decides, name the engines instead, and add those
that are not presets to `benchmarks.engines`, so that `tests.digests` watches them.
"""
