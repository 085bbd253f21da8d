# SPDX-License-Identifier: Apache-2.0
"""Hash units, one component per family: a token in, its code out; no attention."""
