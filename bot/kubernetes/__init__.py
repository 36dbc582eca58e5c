"""Kubernetes as a source of identities: which workload had which address when, and where a Service's addresses lead.

`config` finds the cluster and its credentials, `watch` follows one kind of object, `objects` reads them, `naming` says which
service a pod belongs to, `identities` keeps what follows from all of them, and `watcher` runs it.
"""
