"""How good features are."""
