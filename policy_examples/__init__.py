"""The proof: an encoder plus a few demonstrations become a policy with a measured success rate."""
