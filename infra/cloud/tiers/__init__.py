"""The tiers: one component each."""
