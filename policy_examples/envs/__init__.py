"""Simulated tasks behind one observation contract, {"image": (H, W, 3) uint8 upright, "agent_pos": (P,) float32}."""
