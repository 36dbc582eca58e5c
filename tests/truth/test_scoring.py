"""The truth table counts right, on maps small enough to check by hand."""

from __future__ import annotations

import pytest

from bot.model import Layer
from tests.kit.world import TrueEdge, Truth
from tests.kit.world_flows import Legs
from tests.truth.scoring import Said, bins, cross_product, score

_SEEN = {Layer.NETWORK: 9, Layer.TRACE: 1}


def _edge(
    caller: str, callee: str, how: str = "exact", lives: bool = True, seen: dict[Layer, int] | None = None
) -> TrueEdge:
    return TrueEdge(caller, callee, how, (), False, lives, dict(_SEEN if seen is None else seen))


def _truth(*edges: TrueEdge, fakes: tuple[tuple[str, str], ...] = (), legs: Legs | None = None) -> Truth:
    by_key = {(edge.caller, edge.callee): edge for edge in edges}
    return Truth(by_key, frozenset(("kube-dns.kube-system",)), set(fakes), legs or Legs())


def _said(caller: str, callee: str, confidence: float = 1.0, **more: object) -> Said:
    return Said(caller, callee, confidence, more.pop("layers", frozenset((Layer.NETWORK,))), **more)  # type: ignore[arg-type]


def test_a_perfect_map_reaches_every_target() -> None:
    report = score(_truth(_edge("a", "b"), _edge("b", "c")), [_said("a", "b"), _said("b", "c")], {})
    assert report.failures() == []
    assert report.shown["merged"].precision == report.shown["merged"].recall == 1.0
    assert report.verdicts == {"true": 2}


def test_a_missed_edge_costs_recall_and_says_who_could_have_seen_it() -> None:
    report = score(_truth(_edge("a", "b"), _edge("b", "c")), [_said("a", "b")], {})
    assert report.shown["merged"].recall == 0.5
    assert report.missed == {"exact, shown by network+trace": 1}
    assert report.failures() == ["merged recall 0.5000 is below 0.99"]


def test_an_edge_that_no_telemetry_shows_may_be_missed() -> None:
    margins = _edge("b", "c", "margins", seen={Layer.NETWORK: 99})
    alike = _edge("b", "d", "likeness", seen={Layer.NETWORK: 4})
    report = score(_truth(_edge("a", "b"), margins, alike), [_said("a", "b")], {})
    assert report.shown["merged"].recall == 1.0


def test_each_layer_is_asked_only_for_what_its_own_telemetry_shows() -> None:
    report = score(
        _truth(_edge("a", "b"), _edge("b", "c", seen={Layer.TRACE: 1})),
        [_said("a", "b"), _said("b", "c", layers=frozenset((Layer.TRACE,)))],
        {},
    )
    assert (report.shown["network"].visible, report.shown["network"].recall) == (1, 1.0)
    assert (report.shown["trace"].visible, report.shown["trace"].recall) == (2, 0.5)
    assert report.shown["ipc"].visible == 0


def test_what_is_below_the_threshold_counts_for_calibration_only() -> None:
    report = score(_truth(_edge("a", "b")), [_said("a", "b"), _said("x", "y", 0.05, shown=False)], {})
    assert report.shown["merged"].precision == 1.0
    assert report.everything["merged"].precision == 0.5
    assert report.calibration_error == pytest.approx(0.025)


def test_an_edge_of_a_dead_service_is_no_error_to_show_but_one_to_be_sure_of() -> None:
    report = score(_truth(_edge("a", "b"), _edge("b", "c", lives=False)), [_said("a", "b"), _said("b", "c", 0.9)], {})
    assert report.shown["merged"].precision == 1.0
    assert report.verdicts == {"true": 1, "ended": 1}
    assert report.calibration_error == pytest.approx(0.45)


def test_an_edge_to_an_addresss_last_owner_is_found_out() -> None:
    report = score(_truth(_edge("a", "b"), fakes=(("a", "old"),)), [_said("a", "b"), _said("a", "old")], {})
    assert report.reuse == [("a", "old")]
    assert report.verdicts["false: reused address"] == 1
    assert "1 edges come from reused addresses" in report.failures()


def test_an_estimate_gone_wrong_is_not_blamed_on_a_reused_address() -> None:
    legs = Legs()
    legs.ins[0, "lb"] |= {"a", "x"}
    legs.outs[0, "lb"] |= {"b", "old"}
    truth = _truth(_edge("a", "b"), fakes=(("a", "old"),), legs=legs)
    report = score(truth, [_said("a", "b"), _said("a", "old", 0.7, estimated=True, how="estimated")], {})
    assert report.reuse == []
    assert report.verdicts["false: estimated"] == 1
    assert report.estimated.precision == 0.0
    assert report.how == {"exact": 1, "estimated": 1}


def test_another_name_of_a_service_is_called_that() -> None:
    report = score(
        _truth(_edge("a", "b")), [_said("a", "b"), _said("a", "b.rds.example.com")], {"b": ["b.rds.example.com"]}
    )
    assert report.verdicts["false: another name of a service, which the catalogue knows"] == 1


def test_edges_of_the_background_count_neither_way() -> None:
    report = score(_truth(_edge("a", "b")), [_said("a", "b"), _said("a", "kube-dns.kube-system")], {}, unattributed=3)
    assert report.shown["merged"].said == 1
    assert report.how == {"exact": 1, "unattributed": 3}


def test_bins_hold_tenths_of_confidence_and_the_share_that_is_real() -> None:
    found = bins([(0.95, True), (0.91, True), (1.0, False), (0.05, False), (0.0, False)])
    assert [one.count for one in found] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found[9].real == 2
    assert found[9].confidence == pytest.approx(2.86 / 3)


def test_a_naive_join_makes_every_pair_of_a_minute_through_chains_too() -> None:
    legs = Legs(direct={("a", "b")})
    legs.ins[0, "lb"] |= {"a", "c"}
    legs.outs[0, "lb"] |= {"proxy", "d"}
    legs.ins[0, "proxy"] |= {"lb"}
    legs.outs[0, "proxy"] |= {"e"}
    legs.ins[1, "lb"] |= {"f"}  # nothing left in this minute
    assert cross_product(legs) == {("a", "b"), ("a", "d"), ("a", "e"), ("c", "d"), ("c", "e")}
