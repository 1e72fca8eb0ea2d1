"""Follow the chain, block by block."""
