# SPDX-License-Identifier: Apache-2.0
"""Bus drivers of the bench in a simulator: what moves the pins of a stream or of the registers."""
