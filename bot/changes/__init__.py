"""Change events: what was deployed, configured, switched or scaled, and when."""
