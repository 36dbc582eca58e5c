"""Change events: what others say was deployed, configured, switched or scaled; one module for each format."""
