# SPDX-License-Identifier: Apache-2.0
"""Float networks: our own, the published ones, and where any network attends; no learning."""
