# SPDX-License-Identifier: Apache-2.0
"""Between the pins and the datapath: payloads, receiver, collector, sender; no arithmetic."""
