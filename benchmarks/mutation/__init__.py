# SPDX-License-Identifier: Apache-2.0
"""Faults in netlists and in Python: how they are drawn, who must notice, and which are none."""
