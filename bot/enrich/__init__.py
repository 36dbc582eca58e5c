"""Answers read off the map: blast radius, health, owners, coverage. Pure functions over a graph and now."""
