"""The vendors' formats of flow records, by the name a sender gives: bytes -> canonical records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bot.telemetry import flows_azure, flows_gcp, flows_goflow2, flows_hubble, flows_vpc
from bot.telemetry.flow_records import FlowBatch, FlowOptions

Decoder = Callable[[bytes, FlowOptions], FlowBatch]
"""Reads one unpacked body. Raises BadRequest where it is not of the format at all, and nothing else."""

FORMATS: Final[Mapping[str, Decoder]] = {
    "azure": flows_azure.decode,
    "gcp": flows_gcp.decode,
    "goflow2": flows_goflow2.decode,
    "hubble": flows_hubble.decode,
    "vpc": flows_vpc.decode,
}
