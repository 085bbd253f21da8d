# SPDX-License-Identifier: Apache-2.0
"""The contract of all packages: configuration, widths, wire, registers; imports none of them."""
