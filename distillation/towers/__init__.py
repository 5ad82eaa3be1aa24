"""Teachers' networks: normalised pixels -> features, one file a library."""
