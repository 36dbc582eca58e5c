"""Likely causes: from numbers, events and the map to ranked candidates with evidence. Pure; see `ranking`."""
