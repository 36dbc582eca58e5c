"""Tests of the telemetry doors."""
