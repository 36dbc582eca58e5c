"""Where listeners lead: versions, caps and how long they are remembered."""

from __future__ import annotations

from collections import Counter

from bot.layers.listeners import Listeners
from bot.model import Node
from bot.telemetry.identities import Listener

NOW = 1_760_000_040.0
LB = Node("lb")


def listener(
    *targets: str, start: float = -60, end: float | None = None, port: int = 443, ip: str = "10.0.9.1"
) -> Listener:
    places = frozenset((target, 8080) for target in targets)
    return Listener(LB, ip, port, places, NOW + start, None if end is None else NOW + end)


def led(listeners: Listeners, at: float) -> set[str] | None:
    found = listeners.find("10.0.9.1", 443, NOW + at)
    return None if found is None else {ip for ip, _ in found.targets}


def test_a_listener_leads_where_it_led_at_the_time() -> None:
    listeners = Listeners(Counter())
    for one in (listener("b", start=-30), listener("a"), listener("c", start=-10, end=-5)):
        assert listeners.add(one, NOW)
    assert [led(listeners, at) for at in (-61, -60, -30, -10, -5)] == [None, {"a"}, {"b"}, {"c"}, None]


def test_a_repeated_listener_is_no_news() -> None:
    listeners = Listeners(Counter())
    listeners.add(listener("a"), NOW)
    version = listeners.version
    listeners.add(listener("a"), NOW + 60)
    assert listeners.version == version


def test_huge_target_lists_are_refused_once_there_are_too_many() -> None:
    listeners = Listeners(Counter(), max_targets=1_000)
    for port in range(30):
        listeners.add(listener(*(f"10.1.0.{number}" for number in range(100)), port=port), NOW)
    assert (len(listeners), listeners.dropped) == (10, {"listener: too many targets": 20})


def test_versions_that_are_let_go_make_room_for_others() -> None:
    listeners = Listeners(Counter(), keep=2, max_targets=30)
    for turn in range(50):
        assert listeners.add(listener(*(f"10.1.{turn}.{number}" for number in range(10)), start=turn), NOW)
    assert len(list(listeners.all())) == 2


def test_too_many_listeners_are_refused_and_silent_ones_forgotten() -> None:
    listeners = Listeners(Counter(), max_listeners=5)
    for port in range(8):
        listeners.add(listener("a", port=port), NOW)
    assert (len(listeners), listeners.dropped) == (5, {"listener: too many": 3})
    listeners.add(listener("a", port=0), NOW + 600)
    listeners.expire(NOW + 600)
    assert list(listeners.places()) == [("10.0.9.1", 0)]
    assert listeners.add(listener("a", port=7), NOW)
