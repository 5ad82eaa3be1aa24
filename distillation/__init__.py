"""Distil a vision transformer's embedding into an `XDistillResNet18`."""
