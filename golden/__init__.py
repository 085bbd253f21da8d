# SPDX-License-Identifier: Apache-2.0
"""Reference models: float models that learn (torch) and the integer model (numpy).

The packages import in this order: sites, networks, pictures, learn, quantize, convert. Modules
beside them, integer and quality import none of these.
"""
