"""Where images lie: one file for each kind of storage."""
