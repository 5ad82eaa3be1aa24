"""A page that shows an encoder on the visitor's own image."""
