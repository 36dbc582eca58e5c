"""Likely causes of faults in the made-up company: how often the map's answer is right."""
