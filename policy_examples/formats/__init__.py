"""Demonstrations as other projects keep them, one file a format."""
