"""From a checkpoint to a repository on the Hub."""
