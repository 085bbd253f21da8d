# SPDX-License-Identifier: Apache-2.0
"""Float networks: our own, and where any network attends; no learning."""
