# SPDX-License-Identifier: Apache-2.0
"""What a whole network takes of an ECP5, layer by layer, computed from its design."""
