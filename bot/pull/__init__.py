"""Counters fetched from a Prometheus-compatible server, minute by minute: what a mesh has counted anyway becomes edges.

`promql` words the question, `prometheus` puts it, `answers` reads what comes, `backlog` decides which minute is asked when.
"""
