"""The parts of `xdistill explain features` and `explain classes`."""
