"""``python -m ecoformer``: the command line."""

from ecoformer.cli import main

main()
