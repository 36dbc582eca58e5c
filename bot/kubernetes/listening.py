"""Where a Service's addresses lead: its ports, matched by name with the ports of its endpoints. Pure.

Comes in: a Service and the EndpointSlices that are its own. Goes out: ready targets by port. What is lost: protocols (a port
open to TCP and UDP is one listener with both targets), endpoints without a number or an IP address, and targets beyond
what a listener record may hold.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping

from bot.kubernetes.objects import EndpointSlice, Service
from bot.telemetry.identities import MAX_TARGETS

SERVICE_LABEL = "kubernetes.io/service-name"


def cluster_addresses(service: Service) -> tuple[str, ...]:
    """A Service's own virtual addresses; none for a headless or external one."""
    given = service.spec.cluster_ips or [service.spec.cluster_ip]
    return tuple(ip for ip in given if ip and ip != "None")


def balancer_addresses(service: Service) -> tuple[str, ...]:
    """Addresses of the load balancer in front of a Service."""
    balancer = service.status.load_balancer
    return tuple(one.ip for one in (balancer.ingress if balancer else None) or () if one.ip)


def targets(service: Service, slices: Iterable[EndpointSlice]) -> Mapping[int, frozenset[tuple[str, int]]]:
    """Port of the Service -> ready endpoints as (ip, port); ports without any are left out."""
    by_name: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for one in slices:
        ready = [
            spelled
            for endpoint in one.endpoints or ()
            if endpoint.conditions is None or endpoint.conditions.ready is not False
            for address in endpoint.addresses or ()
            if one.address_type != "FQDN" and (spelled := _spelled(address))
        ]
        for port in one.ports or ():
            if port.port is not None:
                by_name[port.name or ""].update((address, port.port) for address in ready)
    by_port: dict[int, set[tuple[str, int]]] = defaultdict(set)
    for service_port in service.spec.ports or ():
        by_port[service_port.port] |= by_name.get(service_port.name, set())
    return {port: frozenset(sorted(found)[:MAX_TARGETS]) for port, found in by_port.items() if found}


def same_family(ip: str, places: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The targets an address can lead to, in order: IPv4 to IPv4, IPv6 to IPv6."""
    six = ":" in ip
    return sorted((target, port) for target, port in places if (":" in target) is six)


def _spelled(address: str) -> str:
    """One spelling per address; "" for what is none, which would cost the listener all its other targets."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""
