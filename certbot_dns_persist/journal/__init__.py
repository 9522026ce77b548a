"""What we changed, and what stands."""
