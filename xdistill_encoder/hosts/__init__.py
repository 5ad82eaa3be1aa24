"""The encoder inside other projects: one file a host, none of which the package imports by itself."""
