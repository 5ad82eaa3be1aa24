"""The parts of an export."""
