# SPDX-License-Identifier: Apache-2.0
"""``python -m ecoformer``: the command line."""

from ecoformer.cli import main

main()
