"""The parts of `xdistill benchmark` beside its commands."""
