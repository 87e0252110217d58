"""Generator of the synthetic sample district."""
