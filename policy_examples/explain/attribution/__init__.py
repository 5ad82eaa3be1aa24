"""The parts of `xdistill explain saliency`."""
