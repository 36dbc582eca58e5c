"""Tests of the live map."""
