"""What a cluster's objects say of addresses: a mirror of its pods, Services, EndpointSlices and Nodes, kept up to date.

Comes in: lists and single changes, in the order the API gives them. Goes out: identity and listener records (design §10) for
what changed: who has an address from when on, and until when who is gone had it. What is lost, and counted: objects over the
cap. Never given to a pod, or to one Service alone: the address of a node.

Pods become `service`, a Service's own addresses `vip`, those of its load balancer `load_balancer`. An address, or an address and
port, has one holder at a time: the one that started last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bot import names
from bot.kubernetes import listening, naming
from bot.kubernetes.labels import Pods, service_name
from bot.kubernetes.objects import EndpointSlice, Node, Object, Pod, Service

MAX_OBJECTS = 200_000
_ZONE_LABEL = "topology.kubernetes.io/zone"

Record = dict[str, object]
Key = tuple[type[Object], str, str]
"""(type, namespace, name)"""
Place = tuple[str, int | None]
"""(address, None) for an identity, (address, port) for a listener"""


class Identities:
    """The mirror of one cluster.

    `environment` goes into every record whose pod names none itself. Before `begin` everything is taken to have been as it is
    since its creation; from then on what appears starts at its `now` (epoch s).
    """

    def __init__(self, environment: str = "") -> None:
        self.dropped: Counter[str] = Counter()
        self._environment = environment
        self._watching = False
        self._objects: dict[Key, Object] = {}
        self._held: dict[Place, tuple[Key, Record]] = {}
        self._places: dict[Key, set[Place]] = {}
        self._slices: dict[Key, dict[Key, EndpointSlice]] = {}
        self._balanced: dict[str, set[Key]] = {}
        self._releases: dict[tuple[str, str], dict[Key, str]] = {}
        self._split: set[tuple[str, str]] = set()
        self._node_addresses: Counter[str] = Counter()

    def begin(self, now: float) -> None:
        """Everything was listed once: what comes from now on is news.

        Every object is looked at again, since the lists came in any order, and the one of the nodes may have been the last.
        """
        for key in [key for key in self._objects if key[0] in (Pod, Service)]:
            self._refresh(key, now)
        self._watching = True

    def records(self) -> list[Record]:
        """Everything that holds now, for a heartbeat."""
        return [record for _, record in self._held.values()]

    def pods(self) -> Pods:
        """The pods as they are, for another thread to read while this mirror goes on."""
        pods = tuple(one for one in self._objects.values() if isinstance(one, Pod))
        return Pods(pods, frozenset(self._split), self._environment)

    def counts(self) -> dict[str, int]:
        """Objects by type, and records."""
        found = Counter(kind.__name__ for kind, _, _ in self._objects)
        return dict(found) | {"records": len(self._held)}

    def replace(self, kind: type[Object], objects: Iterable[Object], now: float) -> list[Record]:
        """Take in a whole list: what it does not hold any more is gone."""
        listed = {_key(one): one for one in objects}
        out: list[Record] = []
        for key in [key for key in self._objects if key[0] is kind and key not in listed]:
            out += self.remove(self._objects[key], now)
        for one in listed.values():
            out += self.put(one, now)
        return out

    def put(self, one: Object, now: float) -> list[Record]:
        """Take in a new or changed object; returns the records that follow."""
        key = _key(one)
        before = self._objects.get(key)
        if before is not None and _version(one)[1] and _version(before) == _version(one):
            return []  # most of a list that is read again
        out: list[Record] = []
        if before is not None and before.metadata.uid != one.metadata.uid:  # deleted and made anew, and we missed it
            out += self.remove(before, now)
            before = None
        if before is None and len(self._objects) >= MAX_OBJECTS:
            self.dropped["object: too many"] += 1
            return out
        self._objects[key] = one
        for affected in self._index(key, before, one):
            out += self._refresh(affected, now)
        return out

    def remove(self, one: Object, now: float) -> list[Record]:
        """Take in that an object is gone. `one` is its last state, which may be newer than ours."""
        key = _key(one)
        before = self._objects.pop(key, None)
        if before is None:
            return []
        out: list[Record] = []
        for affected in self._index(key, before, None):
            out += self._refresh(affected, now, gone=one)
        return out

    # -- what else an object changes -----------------------------------------------------------------------------------

    def _index(self, key: Key, before: Object | None, after: Object | None) -> list[Key]:
        """Keep the indexes; returns the pods and Services whose records may have changed, `key` itself first."""
        affected: list[Key] = []
        if issubclass(key[0], Pod):
            affected = [key, *self._index_release(key, before, after)]
        elif issubclass(key[0], Service):
            affected = [key, *self._index_balancer(key, before, after)]
        elif issubclass(key[0], EndpointSlice):
            for one in (before, after):
                if isinstance(one, EndpointSlice):
                    owner: Key = (Service, key[1], (one.metadata.labels or {}).get(listening.SERVICE_LABEL, ""))
                    self._slices.setdefault(owner, {}).pop(key, None)
                    affected.append(owner)
            if isinstance(after, EndpointSlice):
                self._slices[affected[-1]][key] = after
            for owner in affected:
                if not self._slices.get(owner, True):
                    del self._slices[owner]
        else:
            affected = self._index_node(before, after)
        return list(dict.fromkeys(affected))

    def _index_release(self, key: Key, before: Object | None, after: Object | None) -> list[Key]:
        """A release that turns out to hold several workloads names none of them; that stays so for this run."""
        if isinstance(before, Pod):
            left = (key[1], naming.named(before).instance)
            self._releases.get(left, {}).pop(key, None)
            if not self._releases.get(left, True):
                del self._releases[left]
        named = naming.named(after) if isinstance(after, Pod) else None
        if named is None or not named.instance:
            return []
        release = (key[1], named.instance)
        pods = self._releases.setdefault(release, {})
        pods[key] = named.workload
        if release in self._split or set(pods.values()) == {named.workload}:
            return []
        self._split.add(release)
        return list(pods)

    def _index_balancer(self, key: Key, before: Object | None, after: Object | None) -> set[Key]:
        """Services that share an address of a load balancer with this one, before or now."""
        old, new = (
            frozenset(listening.balancer_addresses(one)) if isinstance(one, Service) else frozenset()
            for one in (before, after)
        )
        affected: set[Key] = set()
        for ip in old ^ new:
            holders = self._balanced.setdefault(ip, set())
            (holders.add if ip in new else holders.discard)(key)
            affected |= holders
            if not holders:
                del self._balanced[ip]
        return affected

    def _index_node(self, before: Object | None, after: Object | None) -> list[Key]:
        """Pods and Services that have an address which just became a node's, or stopped being one."""
        old, new = (
            {address.address for address in one.status.addresses or ()} if isinstance(one, Node) else set()
            for one in (before, after)
        )
        changed = {ip for ip in old ^ new if self._node_addresses[ip] <= 1}
        self._node_addresses.update(new)
        self._node_addresses.subtract(old)
        self._node_addresses = +self._node_addresses
        if not changed or not self._watching:  # before `begin`, everything is looked at again in the end
            return []
        return [key for key, one in self._objects.items() if changed.intersection(_addresses(one))]

    # -- records -------------------------------------------------------------------------------------------------------

    def _refresh(self, key: Key, now: float, gone: Object | None = None) -> list[Record]:
        """Bring the records of one object up to date; returns those that changed."""
        one = self._objects.get(key)
        wanted = self._wanted(key, one, now) if one is not None else {}
        had = self._places.get(key, set())
        out = [self._end(place, one or gone, now) for place in sorted(had - wanted.keys(), key=str)]
        kept: set[Place] = set()
        for place, record in wanted.items():
            holder, known = self._held.get(place, (key, None))
            if holder != key and known is not None and _start(known) > _start(record):
                continue  # somebody came after it: what is left of this one is its shadow
            kept.add(place)
            if holder != key:
                self._places[holder].discard(place)
            if known is None or holder != key or _without_start(known) != _without_start(record):
                if known is not None and holder == key and "ip" in known and "service" in known:
                    record["start"] = known["start"]  # the same pod under a better name: it always had that one
                self._held[place] = (key, record)
                out.append(record)
        self._places[key] = kept
        if not kept:
            del self._places[key]
        return out

    def _end(self, place: Place, one: Object | None, now: float) -> Record:
        _, record = self._held.pop(place)
        at = naming.finished(one) if isinstance(one, Pod) else None
        return record | {"end": max(_start(record), min(now, at) if at is not None else now)}

    def _wanted(self, key: Key, one: Object, now: float) -> dict[Place, Record]:
        if isinstance(one, Pod):
            return self._of_pod(key, one, now)
        return self._of_service(key, one, now) if isinstance(one, Service) else {}

    def _of_pod(self, key: Key, pod: Pod, now: float) -> dict[Place, Record]:
        named = naming.named(pod)
        start = min(now, naming.started(pod) or now)
        record = {
            "service": service_name(named, (key[1], named.instance) in self._split),
            "start": start,
            "end": None,
            "kind": "service",
            "workload": names.workload(named.workload, pod.metadata.namespace),
        }
        place = self._labels(named.namespace, named.environment) | self._runs_on(pod)
        return {
            (ip, None): {"ip": ip} | record | place for ip in naming.addresses(pod) if ip not in self._node_addresses
        }

    def _runs_on(self, pod: Pod) -> Record:
        """The pod's machine, and the zone that the machine's label names (kubernetes.io: well-known labels)."""
        node = self._objects.get((Node, "", pod.spec.node_name))
        zone = (node.metadata.labels or {}).get(_ZONE_LABEL, "") if node is not None else ""
        return {what: name for what, name in (("node", pod.spec.node_name), ("zone", zone)) if name}

    def _of_service(self, key: Key, service: Service, now: float) -> dict[Place, Record]:
        name, labels = service.metadata.name, self._labels(service.metadata.namespace, "")
        made = service.metadata.creation_timestamp
        created = min(now, made.timestamp()) if made is not None else now
        since = now if self._watching else created
        found: dict[Place, Record] = {}
        own, balancer = listening.cluster_addresses(service), listening.balancer_addresses(service)
        for ip in own:
            found[ip, None] = {"ip": ip, "service": name, "start": created, "end": None, "kind": "vip"} | labels
        for ip in balancer:
            if len(self._balanced.get(ip, ())) == 1 and ip not in self._node_addresses:
                found[ip, None] = {
                    "ip": ip,
                    "service": name,
                    "start": since,
                    "end": None,
                    "kind": "load_balancer",
                } | labels
        for port, places in listening.targets(service, self._slices.get(key, {}).values()).items():
            for ip in (*own, *balancer):
                if targets := [{"ip": target, "port": number} for target, number in listening.same_family(ip, places)]:
                    listener: Record = {"intermediary": name, "ip": ip, "port": port, "targets": targets}
                    found[ip, port] = listener | {"start": since, "end": None} | labels
        return found

    def _labels(self, namespace: str, environment: str) -> Record:
        given = {"namespace": namespace, "environment": environment or self._environment}
        return {name: value for name, value in given.items() if value}


def _key(one: Object) -> Key:
    return (type(one), one.metadata.namespace, one.metadata.name)


def _version(one: Object) -> tuple[str, str]:
    return (one.metadata.uid, one.metadata.resource_version)


def _addresses(one: Object) -> tuple[str, ...]:
    if isinstance(one, Pod):
        return naming.addresses(one)
    return listening.balancer_addresses(one) if isinstance(one, Service) else ()


def _start(record: Mapping[str, object]) -> float:
    start = record["start"]
    return start if isinstance(start, float) else 0.0


def _without_start(record: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in record.items() if name != "start"}
