"""Tests mirror bot/; fakes and real processes are in kit/, benchmarks in benchmarks/."""
