# SPDX-License-Identifier: Apache-2.0
"""How results are kept: what a section depends on, its record, and the pages made of records."""
