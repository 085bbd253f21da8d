# SPDX-License-Identifier: Apache-2.0
"""The tables of `spec.tables` as arrays."""

import numpy as np

from ecoformer.spec.tables import exponential_table, reciprocal_root_table

__all__ = ["ROOT", "EXPONENTIAL"]

ROOT = np.array(reciprocal_root_table(), dtype=np.int64)
EXPONENTIAL = np.array(exponential_table(), dtype=np.int64)
