# SPDX-License-Identifier: Apache-2.0
"""What an engine takes of an ECP5, computed from its configuration without synthesis."""
