"""Tests of what is on disk, on both databases."""
