"""The parts of `xdistill explain features`."""
