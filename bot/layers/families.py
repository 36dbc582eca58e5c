"""Every metric family that counts calls, one entry a metric: what it is called, what to sum it by, how to read it.

Nothing comes in or goes out but this table; a new source of metrics is a new entry in one of its three parts.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.layers.families_ebpf import EBPF_FAMILIES
from bot.layers.families_mesh import MESH_FAMILIES
from bot.layers.families_otel import OTEL_FAMILIES
from bot.layers.family import Family, Reading, Role

__all__ = ["BY_METRIC", "FAMILIES", "Family", "Reading", "Role"]

FAMILIES: tuple[Family, ...] = (*MESH_FAMILIES, *OTEL_FAMILIES, *EBPF_FAMILIES)
"""Every metric the IPC layer reads."""

BY_METRIC: Mapping[str, Family] = {metric: family for family in FAMILIES for metric in family.metrics}
"""The family of a metric, by its name."""
