"""One plausible flow of each vendor, and how to change it. Times are of one minute of 14 November 2023."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from bot.telemetry.flow_formats import FORMATS
from bot.telemetry.flow_records import FlowBatch, FlowOptions, FlowRecord

START = 1_700_000_000.0


def decoded(name: str, body: bytes | str, options: FlowOptions | None = None) -> FlowBatch:
    """The body as the named format reads it."""
    return FORMATS[name](body.encode() if isinstance(body, str) else body, options or FlowOptions())


def only(batch: FlowBatch) -> FlowRecord:
    """The one record of a batch that took everything."""
    assert (batch.accepted, batch.rejected, batch.errors) == (1, 0, [])
    return batch.records[0]


def sent(record: FlowRecord) -> dict[str, Any]:
    """The record as stage 1 gets it."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return found


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy with other values at dotted paths; `...` takes a value away."""
    copy: dict[str, Any] = json.loads(json.dumps(base))
    for path, value in changes.items():
        *parents, last = path.split(".")
        here = copy
        for parent in parents:
            here = here.setdefault(parent, {})
        if value is ...:
            here.pop(last, None)
        else:
            here[last] = value
    return copy


def lines(*documents: object) -> str:
    """NDJSON."""
    return "".join(json.dumps(one) + "\n" for one in documents)


HUBBLE = {
    "time": "2023-11-14T22:13:20.500000000Z",
    "verdict": "FORWARDED",
    "IP": {"source": "10.0.1.5", "destination": "10.0.2.6", "ipVersion": "IPv4"},
    "l4": {"TCP": {"source_port": 41000, "destination_port": 8080, "flags": {"ACK": True, "PSH": True}}},
    "source": {
        "ID": 17,
        "identity": 2001,
        "namespace": "shop",
        "labels": ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"],
        "pod_name": "web-7d9f8b6c5d-x2x9z",
        "workloads": [{"name": "web", "kind": "Deployment"}],
    },
    "destination": {"identity": 2002, "namespace": "shop", "labels": ["k8s:app=db"], "pod_name": "db-0"},
    "Type": "L3_L4",
    "node_name": "node-1",
    "event_type": {"type": 4},
    "traffic_direction": "EGRESS",
    "trace_observation_point": "TO_STACK",
    "is_reply": False,
    "Summary": "TCP Flags: ACK, PSH",
}


def hubble(**changes: Any) -> dict[str, Any]:
    """A Hubble flow in its wrapper; keys with `__` for dots."""
    flow = changed(HUBBLE, {key.replace("__", "."): value for key, value in changes.items()})
    return {"flow": flow, "node_name": "node-1", "time": HUBBLE["time"]}


VPC = "2 123456789010 eni-1 10.0.1.5 10.0.2.6 41000 8080 6 20 4249 1700000000 1700000060 ACCEPT OK"
VPC_CUSTOM = (
    "version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags pkt-srcaddr "
    "pkt-dstaddr flow-direction log-status"
)


def vpc(**changes: str) -> str:
    """A header of many fields and one line; keys with `_` for hyphens."""
    values = {
        "version": "5", "interface-id": "eni-1", "srcaddr": "10.0.1.5", "dstaddr": "10.0.2.6", "srcport": "41000",
        "dstport": "8080", "protocol": "6", "packets": "20", "bytes": "4249", "start": "1700000000", "end": "1700000060",
        "action": "ACCEPT", "tcp-flags": "2", "pkt-srcaddr": "10.0.1.5", "pkt-dstaddr": "10.0.2.6",
        "flow-direction": "egress", "log-status": "OK",
    } | {key.replace("_", "-"): value for key, value in changes.items()}  # fmt: skip
    return f"{VPC_CUSTOM}\n{' '.join(values[name] for name in VPC_CUSTOM.split())}\n"


GOFLOW2 = {
    "type": "IPFIX", "time_received_ns": 1_700_000_061_000_000_000, "sequence_num": 7, "sampling_rate": 0,
    "sampler_address": "192.0.2.1", "time_flow_start_ns": 1_700_000_000_500_000_000,
    "time_flow_end_ns": 1_700_000_002_500_000_000, "bytes": 4249, "packets": 20, "src_addr": "10.0.1.5",
    "dst_addr": "10.0.2.6", "etype": "IPv4", "proto": "TCP", "src_port": 41000, "dst_port": 8080, "in_if": 1, "out_if": 2,
    "tcp_flags": 2,
}  # fmt: skip
GOFLOW1 = {
    "Type": "IPFIX", "TimeReceived": 1_700_000_061, "SamplingRate": 0, "SamplerAddress": "192.0.2.1",
    "TimeFlowStart": 1_700_000_000, "TimeFlowEnd": 1_700_000_002, "Bytes": 4249, "Packets": 20, "SrcAddr": "10.0.1.5",
    "DstAddr": "10.0.2.6", "Etype": 2048, "Proto": 6, "SrcPort": 41000, "DstPort": 8080, "TCPFlags": 2,
}  # fmt: skip
NETOBSERV = {
    "AgentIP": "10.0.9.1", "Bytes": 4249, "Packets": 20, "SrcAddr": "10.0.1.5", "DstAddr": "10.0.2.6", "SrcPort": 41000,
    "DstPort": 8080, "Proto": 6, "Etype": 2048, "Flags": 2, "FlowDirection": 1, "Duplicate": False, "IfDirections": [1],
    "SrcK8S_Name": "web-7d9f8b6c5d-x2x9z", "SrcK8S_Type": "Pod", "SrcK8S_OwnerName": "web", "SrcK8S_OwnerType": "Deployment",
    "SrcK8S_Namespace": "shop", "DstK8S_Name": "db-0", "DstK8S_Type": "Pod", "DstK8S_OwnerName": "db",
    "DstK8S_OwnerType": "StatefulSet", "DstK8S_Namespace": "shop", "TimeFlowStartMs": 1_700_000_000_500,
    "TimeFlowEndMs": 1_700_000_002_500, "TimeReceived": 1_700_000_061,
}  # fmt: skip

GCP = {
    "insertId": "1abc",
    "jsonPayload": {
        "connection": {
            "src_ip": "10.0.1.5",
            "src_port": 41000,
            "dest_ip": "10.0.2.6",
            "dest_port": 8080,
            "protocol": 6,
        },
        "bytes_sent": "4249",
        "packets_sent": "20",
        "start_time": "2023-11-14T22:13:20.500000000Z",
        "end_time": "2023-11-14T22:13:22.5Z",
        "reporter": "SRC",
        "rtt_msec": "3",
        "src_instance": {"vm_name": "gke-node-1", "project_id": "shop", "region": "r", "zone": "z"},
        "src_gke_details": {
            "cluster": {"cluster_name": "c", "cluster_location": "r"},
            "pod": {"pod_name": "web-7d9f8b6c5d-x2x9z", "pod_namespace": "shop"},
        },
        "dest_gke_details": {
            "pod": {
                "pod_name": "db-0",
                "pod_namespace": "shop",
                "pod_workload": {"workload_name": "db", "workload_type": "STATEFUL_SET"},
            },
            "service": [{"service_name": "db-vip", "service_namespace": "shop"}],
        },
    },
    "logName": "projects/shop/logs/compute.googleapis.com%2Fvpc_flows",
    "timestamp": "2023-11-14T22:13:23Z",
}

AZURE_TUPLE = "1700000000500,10.0.1.5,10.0.2.6,41000,8080,6,O,E,NX,15,3000,5,1249"
NSG_TUPLE = "1700000000,10.0.1.5,10.0.2.6,41000,8080,T,O,A,E,15,3000,5,1249"


def azure(*tuples: object, version: int = 4) -> str:
    """A virtual network's flow log."""
    groups = [{"rule": "AllowAll", "flowTuples": list(tuples)}]
    record = {
        "time": "2023-11-14T22:14:00.1Z",
        "flowLogVersion": version,
        "category": "FlowLogFlowEvent",
        "macAddress": "112233445566",
        "flowRecords": {"flows": [{"aclID": "1", "flowGroups": groups}]},
    }
    return json.dumps({"records": [record]}, indent=2)


def security_group(*tuples: object, version: int = 2) -> str:
    """A network security group's flow log."""
    flows = [{"rule": "AllowAll", "flows": [{"mac": "112233445566", "flowTuples": list(tuples)}]}]
    record = {"time": "2023-11-14T22:14:00.1Z", "properties": {"Version": version, "flows": flows}}
    return json.dumps({"records": [record]})


BODIES = {
    "azure": azure(AZURE_TUPLE),
    "gcp": lines(GCP),
    "goflow2": lines(GOFLOW2),
    "hubble": lines(hubble()),
    "vpc": vpc(),
}
"""The same flow in each format: 4249 bytes from 10.0.1.5:41000, which called, to 10.0.2.6:8080."""
