"""Tests of the pages' words and values: answers in, what templates show out."""
