# SPDX-License-Identifier: Apache-2.0
"""Parameter memories, the port that loads them, and slots that keep a set in use unaltered."""
