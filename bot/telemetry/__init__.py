"""Doors for telemetry: bytes in, sightings out. One module per wire format; no storage, no graph."""
