"""Catalogue files, good and hostile."""
