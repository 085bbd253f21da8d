# SPDX-License-Identifier: Apache-2.0
"""The engine put together: datapath, workers, register file, pin-level top; no arithmetic."""
