# SPDX-License-Identifier: Apache-2.0
"""What the verbs do with a whole network instead of an engine."""
