# SPDX-License-Identifier: Apache-2.0
"""The contract of a whole network on the chip."""
