"""Pictures of why a policy works: `xdistill explain`, `xdistill report`."""
