"""The made-up company is what it says it is: the same every time, at one with its own truth, and as awkward as a real one."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from bot.catalog.sources import Sources
from bot.layers.families import BY_METRIC
from bot.layers.trace import TraceLayer
from bot.model import PSEUDO, Layer
from bot.telemetry import remote_write
from bot.telemetry.otlp import decode_protobuf
from tests.kit.world import NIGHTS, Emission, World
from tests.kit.world_company import TICK, Kind
from tests.kit.world_flows import NOISE
from tests.kit.world_identities import Life

_MINUTES = 20


@dataclass(frozen=True)
class Watched:
    """A world that has been watched to its end."""

    world: World
    emissions: list[Emission]

    def flows(self) -> Iterator[tuple[object, dict[str, object]]]:
        """(tag, record) of every flow."""
        for emission in self.emissions:
            for tag, line in zip(emission.tags, emission.flows.splitlines(), strict=True):
                yield tag, json.loads(line)

    def identities(self) -> Iterator[tuple[float, dict[str, object]]]:
        """(end of the tick in which it arrived, record) of every identity record, from the start on."""
        for emission in self.emissions:
            if emission.at > self.world.start:
                for line in emission.identities.splitlines():
                    yield emission.at, json.loads(line)

    def pods(self) -> dict[str, list[Life]]:
        """Everybody who ever held an address of the pods' networks, in order."""
        by_address: dict[str, list[Life]] = defaultdict(list)
        for lives in self.world.addresses.lives.values():
            for life in lives:
                if life.service.kind is not Kind.EXTERNAL:
                    by_address[life.ip].append(life)
        return {ip: sorted(lives, key=lambda one: one.start) for ip, lives in by_address.items()}


@pytest.fixture(scope="module")
def watched() -> Watched:
    world = World(7, services=120, minutes=_MINUTES)
    return Watched(world, list(world.emissions()))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, same, other = (list(World(seed, services=40, minutes=3).emissions()) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_emissions_come_in_order_of_time_and_hold_nothing_from_the_future(watched: Watched) -> None:
    times = [emission.at for emission in watched.emissions]
    assert times == sorted(set(times))
    for emission in watched.emissions:
        assert all(json.loads(line)["end"] <= emission.at for line in emission.flows.splitlines())


def test_every_flow_record_belongs_to_a_true_edge_or_to_declared_noise(watched: Watched) -> None:
    kinds = Counter("edge" if tag in watched.world.truth.edges else tag for tag, _ in watched.flows())
    assert set(kinds) == {"edge", *NOISE}
    assert kinds["edge"] > 10_000


def test_an_address_in_a_record_was_its_owners_at_the_records_start(watched: Watched) -> None:
    pods = watched.pods()
    checked = 0
    for tag, record in watched.flows():
        if not isinstance(tag, tuple):
            continue
        ends = set(tag) | {f"{record['src_ip']}", f"{record['dst_ip']}"}
        for ip in (str(record["src_ip"]), str(record["dst_ip"])):
            # A record of the far end may begin a moment after the connection does.
            owners = {
                one.service.id for one in pods.get(ip, ()) if one.start <= float(str(record["start"])) < one.end + 0.01
            }
            assert owners <= ends or owners & set(tag), (tag, record)
            checked += bool(owners)
    assert checked > 10_000


def test_no_address_ever_has_two_owners_at_once(watched: Watched) -> None:
    for lives in watched.pods().values():
        assert all(before.end <= after.start for before, after in pairwise(lives))


def test_addresses_are_reused_by_other_services_within_minutes(watched: Watched) -> None:
    gaps = [
        after.start - before.end
        for lives in watched.pods().values()
        for before, after in pairwise(lives)
        if before.service is not after.service
    ]
    assert len(gaps) > 40
    assert sum(gap < 180 for gap in gaps) > len(gaps) / 2
    assert watched.world.truth.reuse_fakes
    assert not watched.world.truth.reuse_fakes & watched.world.truth.edges.keys()


def test_only_declared_flaps_claim_an_address_after_their_time(watched: Watched) -> None:
    pods, flaps = watched.pods(), watched.world.addresses.flaps
    claims = stale = 0
    for at, record in watched.identities():
        if "targets" in record or record["kind"] != "service":
            continue
        claims += 1
        (life,) = [one for one in pods[str(record["ip"])] if one.start == record["start"]]
        assert life.service.id == f"{record['service']}.{record['namespace']}"
        assert record["end"] in (None, life.end)
        late = record["end"] is None and at - TICK > life.end and at - TICK > life.start + 100
        stale += late
        assert not late or (life.ip, life.service.id) in flaps
    assert claims > 1_000
    assert stale
    assert flaps


def test_the_trace_telemetry_shows_true_edges_only_once_the_catalogue_has_named_them(
    watched: Watched, tmp_path: Path
) -> None:
    aliases = _aliases(watched.world, tmp_path)
    layer = TraceLayer()
    for emission in watched.emissions:
        if emission.spans:
            layer.add(decode_protobuf(emission.spans, emission.at), emission.at)
    found = {edge for edges in layer.flush(watched.world.end).windows.values() for edge in edges}
    named = {
        (aliases.get(caller, caller), aliases.get(callee, callee)) for caller, callee in found if caller not in PSEUDO
    }
    assert named == {key for key, edge in watched.world.truth.edges.items() if Layer.TRACE in edge.layers}
    assert found - named, "some edges have to need the catalogue"


def test_the_metrics_show_true_edges_only_once_the_catalogue_has_named_them(watched: Watched, tmp_path: Path) -> None:
    aliases = _aliases(watched.world, tmp_path)
    named = set()
    for emission in watched.emissions:
        if emission.metrics:
            batch = remote_write.decode(remote_write.PROTO_1, emission.metrics, emission.at)
            assert not batch.rejected
            for sample in batch.samples:
                reading = BY_METRIC[sample.name].read(sample.labels)
                if reading is not None and reading.caller is not None:
                    caller, callee = reading.caller.id, reading.callee.id
                    named.add((aliases.get(caller, caller), aliases.get(callee, callee)))
    assert named <= watched.world.truth.edges.keys()
    assert named >= {key for key, edge in watched.world.truth.edges.items() if Layer.IPC in edge.layers}


def test_nightly_jobs_are_all_that_happens_in_the_nights_before(watched: Watched) -> None:
    truth = watched.world.truth.edges
    at_night = {tag for tag, record in watched.flows() if float(str(record["start"])) < watched.world.start}
    assert at_night
    assert all(truth[tag].nightly for tag in at_night if isinstance(tag, tuple))
    nights = {emission.at // 86_400 for emission in watched.emissions if emission.at < watched.world.start}
    assert len(nights) == len(NIGHTS)


def test_services_die_and_are_renamed_and_their_edges_end(watched: Watched) -> None:
    edges = watched.world.truth.edges.values()
    ended = [edge for edge in edges if not edge.lives and edge.sightings and not edge.nightly]
    assert ended
    assert all(edge.last < watched.world.start + 0.45 * _MINUTES * 60 for edge in ended)
    assert any(edge.callee.partition(".")[0].endswith("-v2") and edge.lives for edge in edges) or any(
        edge.caller.partition(".")[0].endswith("-v2") for edge in edges
    )


def test_what_only_margins_show_is_not_visible_to_the_network(watched: Watched) -> None:
    edges = watched.world.truth.edges.values()
    assert {"exact", "listener", "likeness", "margins", "none"} == {edge.how for edge in edges}
    assert not any(Layer.NETWORK in edge.layers for edge in edges if edge.how in ("margins", "none"))
    assert sum(bool(edge.layers) for edge in edges) > 0.9 * len(edges)


def _aliases(world: World, folder: Path) -> dict[str, str]:
    path = folder / "services.yaml"
    path.write_text(world.catalog)
    catalog = Sources([path]).read(0.0)
    assert not catalog.problems
    return dict(catalog.aliases)
