"""Doors for alerts: one module per vendor, verify -> parse -> Alert."""
