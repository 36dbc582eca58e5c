"""Tests of the answers read off the map."""
