# SPDX-License-Identifier: Apache-2.0
"""The integer model: the only definition of the bits. Pure functions on numpy int64, no float."""
