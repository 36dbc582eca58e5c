"""Fakes and real processes the tests start for themselves."""
