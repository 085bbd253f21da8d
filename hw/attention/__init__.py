# SPDX-License-Identifier: Apache-2.0
"""Attention cores and the normaliser: codes and values in, quotients out; no pins."""
