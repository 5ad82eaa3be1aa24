"""The parts of an adaptation."""
