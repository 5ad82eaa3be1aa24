"""The teacher cache: embeddings of fixed views, computed once."""
