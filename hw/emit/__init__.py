# SPDX-License-Identifier: Apache-2.0
"""What leaves the generator: Verilog, lint waivers, manifest; describes hardware, builds none."""
