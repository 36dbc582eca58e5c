"""Tests of bot/incidents."""
