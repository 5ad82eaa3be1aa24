"""`python -m xdistill_encoder`: the command line where its script is not on the path."""

from xdistill_encoder.cli import main

main()
