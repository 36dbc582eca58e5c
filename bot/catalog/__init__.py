"""Owners, tiers, domains and aliases from catalogue files."""
