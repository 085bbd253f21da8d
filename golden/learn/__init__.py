# SPDX-License-Identifier: Apache-2.0
"""Learning hashes from attention and networks from data, with checkpoints; no integers."""
