"""The parts of `xdistill report` beside its command."""
