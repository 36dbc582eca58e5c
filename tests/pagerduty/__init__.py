"""Tests of the PagerDuty room."""
