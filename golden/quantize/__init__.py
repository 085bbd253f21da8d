# SPDX-License-Identifier: Apache-2.0
"""From float to integers: calibration, the host's side, networks on an engine; no learning."""
