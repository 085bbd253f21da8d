# SPDX-License-Identifier: Apache-2.0
"""Faults in the netlists of engines: how they are drawn, who must notice, and which are none."""
