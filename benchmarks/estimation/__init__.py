# SPDX-License-Identifier: Apache-2.0
"""The estimate of cells: engines drawn at random, what they pack to, and the fit to it."""
