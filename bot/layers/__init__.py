"""One pipeline per layer: span pairing and minute windows. Pure: time comes in as an argument."""
