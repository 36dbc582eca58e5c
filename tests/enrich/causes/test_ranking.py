"""Causes of made-up incidents with a known fault, plain and made harder; and what is said when there is nothing to say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.enrich.causes.ranking import NAMED_FROM, rank
from bot.enrich.causes.situation import Event, Measured, Situation
from bot.grading.cases import Case, read
from tests.kit import perturbed
from tests.kit.incidents import AT, FAULTS, SICK_NODE, incident

SEEDS = range(6)
SHARED = Path(__file__).parents[4] / "shared" / "cases"
Change = Callable[[Situation], Situation]


def hits(change: Change) -> tuple[float, float]:
    """How often the cause is first, and among the first three."""
    places = []
    for each in (incident(seed, fault) for seed in SEEDS for fault in FAULTS):
        ranked = [one.service for one in rank(change(each.situation)).candidates]
        places.append(min(ranked.index(cause) for cause in each.causes))
    return sum(place == 0 for place in places) / len(places), sum(place < 3 for place in places) / len(places)


@pytest.fixture(scope="module")
def plain() -> tuple[float, float]:
    return hits(lambda one: one)


def steady(level: float, noise: float = 0.02, count: int = 40, until: float = AT) -> list[tuple[float, float]]:
    return [(until - 60 * (count - place), level * (1 + noise * math.sin(7 * place))) for place in range(count)]


def jump(usual: float, now: float) -> list[tuple[float, float]]:
    return steady(usual, until=AT - 120) + [(AT - 60 * back, now) for back in (2, 1, 0)]


def service(error_ratio: float = 0.0, latency: float = 20.0, requests: float = 100.0) -> list[Measured]:
    return [
        Measured("error_ratio", jump(0.0, error_ratio)),
        Measured("latency_mean_ms", jump(20.0, latency)),
        Measured("requests", jump(100.0, requests)),
    ]


def situation(callees: dict[str, list[str]], measured: dict[str, list[Measured]], *events: Event, metric: str = "error_ratio",
              alert: str = "web") -> Situation:  # fmt: skip
    services = sorted({alert, *callees, *measured, *(one for those in callees.values() for one in those)})
    return Situation(alert, metric, AT, services, callees, measured, {}, events)


def test_the_cause_is_first_in_most_incidents_and_nearly_always_among_three(plain: tuple[float, float]) -> None:
    assert plain[0] >= 0.9
    assert plain[1] >= 0.95


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(perturbed.shortened(10), id="ten baseline points"),
        pytest.param(perturbed.shortened(3), id="three"),
        pytest.param(perturbed.shortened(2), id="two"),
        pytest.param(perturbed.shortened(1), id="one"),
        pytest.param(perturbed.shortened(0), id="no baseline but the minutes before"),
        pytest.param(perturbed.chatter, id="templates everywhere"),
        pytest.param(perturbed.other_names_of_metrics, id="other names of metrics"),
        pytest.param(perturbed.without_edges, id="nothing counted on edges"),
        pytest.param(lambda one: replace(one, events=()), id="no events"),
    ],
)
def test_harder_telemetry_costs_five_points_at_most(change: Change, plain: tuple[float, float]) -> None:
    first, three = hits(change)
    assert first >= plain[0] - 0.05
    assert three >= plain[1] - 0.05


def test_names_of_services_do_not_matter() -> None:
    for seed in SEEDS:
        one = incident(seed, "slow")
        other, new = perturbed.shuffled(one.situation)
        assert rank(other).candidates[0].service == new[rank(one.situation).candidates[0].service]


def test_without_a_fault_in_view_no_cause_is_named() -> None:
    named = [rank(incident(seed, "none").situation).named for seed in range(40)]
    assert sum(one is None for one in named) >= 36


def test_the_same_situation_gives_the_same_verdict_whatever_order_it_is_told_in() -> None:
    one = incident(3, "failing").situation
    other = replace(
        one,
        services=tuple(reversed(one.services)),
        measured=dict(reversed(list(one.measured.items()))),
        callees={caller: list(reversed(those)) for caller, those in reversed(list(one.callees.items()))},
    )
    first, second = rank(one), rank(other)
    assert [each.service for each in first.candidates] == [each.service for each in second.candidates]
    assert [each.p for each in first.candidates] == pytest.approx([each.p for each in second.candidates])


def test_errors_are_laid_to_the_deepest_that_fails_by_itself() -> None:
    verdict = rank(
        situation(
            {"web": ["cart", "login"], "cart": ["payments"], "payments": ["payments-db"]},
            {name: service(0.2) for name in ("web", "cart", "payments", "payments-db")} | {"login": service()},
        )
    )
    assert verdict.named is not None
    assert verdict.named.service == "payments-db"
    assert any("20% of requests fail (usually 0%)" in sentence for sentence in verdict.named.sentences)
    assert "login" in verdict.ruled_out
    assert verdict.why_none == ""


def test_time_is_laid_to_who_adds_it_not_to_who_waits() -> None:
    verdict = rank(
        situation(
            {"web": ["search"], "search": ["index"]},
            {"web": service(latency=420.0), "search": service(latency=420.0), "index": service()},
            metric="latency_mean_ms",
        )
    )
    assert verdict.named is not None
    assert verdict.named.service == "search"


def test_what_depends_on_the_alerting_service_is_not_its_cause() -> None:
    verdict = rank(situation({"web": ["cart"]}, {"web": service(0.5), "cart": service(0.5)}, alert="cart"))
    assert verdict.candidates[0].service == "cart"


def test_a_callee_whose_failures_nobody_counts_is_suspected() -> None:
    only_requests = [Measured("requests", steady(20.0))]
    verdict = rank(situation({"web": ["auth"]}, {"web": service(0.2), "auth": only_requests}))
    assert "auth" in [one.service for one in verdict.candidates[:2]]
    assert verdict.candidates[1].p > 0.05


def test_client_errors_are_explained_by_callers() -> None:
    ratio = [Measured("http_401_ratio", jump(0.004, 0.6)), Measured("requests", jump(100.0, 100.0))]
    verdict = rank(
        situation(
            {"gate": ["users", "orders"]},
            {"gate": ratio, "users": ratio, "orders": ratio},
            metric="http_401_ratio",
            alert="gate",
        )
    )
    assert verdict.candidates[0].service == "gate"


def test_a_surge_is_explained_by_who_sends_it() -> None:
    hot = service(latency=300.0, requests=900.0)
    verdict = rank(
        situation(
            {"web": ["cart"], "cart": ["stock"]}, {"web": hot, "cart": hot, "stock": hot}, metric="latency_mean_ms"
        )
    )
    assert verdict.candidates[0].service == "web"


def test_what_stopped_reporting_takes_the_blame_of_its_callers() -> None:
    quiet = [Measured("error_ratio", steady(0.0, until=AT - 600)), Measured("requests", steady(50.0, until=AT - 600))]
    verdict = rank(situation({"web": ["cart", "login"]}, {"web": service(0.3), "cart": quiet, "login": service()}))
    assert verdict.named is not None
    assert verdict.named.service == "cart"
    assert any(text.startswith("cart has reported nothing for 1") for text in verdict.named.sentences)


def test_silence_counts_where_callers_are_asked_as_ever() -> None:
    verdict = rank(
        situation(
            {"web": ["cart", "mail"]}, {"web": service(0.3), "cart": service(), "mail": [*service(requests=0.0)]}
        )
    )  # fmt: skip
    families = {one.family for each in verdict.candidates if each.service == "mail" for one in each.evidence}
    assert "silence" in families


def test_a_change_just_before_tips_the_scales_and_one_long_ago_does_not() -> None:
    twins = {"web": service(0.2), "a": service(0.1), "b": service(0.1)}
    edges = {"web": ["a", "b"]}
    assert rank(situation(edges, twins)).candidates[0].service == "a"  # ties go by name
    recent = rank(situation(edges, twins, Event("change", "b", "v2", AT - 300)))
    assert recent.candidates[0].service == "b"
    assert any(sentence == "changed 5 min before: v2" for sentence in recent.candidates[0].sentences)
    assert rank(situation(edges, twins, Event("change", "b", "v2", AT - 90_000))).candidates[0].service == "a"
    late, early = Event("change", "b", "v2", AT + 900), Event("change", "a", "v1", AT - 60)
    assert rank(situation(edges, twins, late, early)).candidates[0].service == "a"


def test_an_alert_about_a_service_s_own_resources_names_it() -> None:
    pool = [Measured("db_pool_in_use", jump(10.0, 100.0)), *service(0.3)]
    verdict = rank(situation({"web": ["stock"]}, {"web": pool, "stock": service(0.1)}, metric="db_pool_in_use"))
    assert verdict.candidates[0].service == "web"


def test_calls_that_only_their_callers_find_slow_point_to_the_end_they_share() -> None:
    events = [Event("call", "web", "slow", caller="web", call=f"/{one}.V1/Get") for one in ("a", "b", "c")]
    verdict = rank(situation({"web": ["a", "b", "c"]}, {}, *events, metric=""))
    assert verdict.candidates[0].service == "web"
    told = [Event("call", one, "slow", caller="web") for one in ("a", "c")]
    alone = rank(situation({"web": ["a", "b", "c"]}, {}, events[1], *told, metric=""))
    assert alone.candidates[0].service == "b"


NOTHING = Situation("web", "", AT, ["web"], {})


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(NOTHING, id="one service and nothing else"),
        pytest.param(replace(NOTHING, services=["web", "db"], callees={"web": ["db"]}), id="only the graph"),
        pytest.param(replace(NOTHING, services=["a", "b", "web"], callees={"web": ["a"], "a": ["b"], "b": ["web"]}), id="a cycle"),
        pytest.param(situation({"web": ["db"]}, {"db": [Measured("error_ratio", [(AT, float("nan"))] * 9)]}), id="not a number"),
        pytest.param(situation({"web": ["db"]}, {"db": [Measured("error_ratio", [(AT, 0.5)])]}), id="one point"),
        pytest.param(situation({"web": ["db"]}, {"db": [Measured("x", steady(4.0, noise=0.0))]}), id="constant"),
        pytest.param(situation({"web": ["db"]}, {"db": [Measured("x", ((AT, math.inf), (AT - 60, 1.0)))]}), id="infinite, out of order"),
    ],
)  # fmt: skip
def test_little_to_go_by_gives_an_answer_that_says_so(one: Situation) -> None:
    verdict = rank(one)
    assert verdict.named is None
    assert verdict.why_none
    assert all(0.0 <= each.p < NAMED_FROM for each in verdict.candidates)
    assert set(verdict.unknown) <= set(one.services)


def test_only_alerts_and_the_graph_name_the_deepest_that_alerts() -> None:
    verdict = rank(situation({"web": ["cart"], "cart": ["db"]}, {}, Event("alert", "db", "DbDown", AT - 60), metric=""))
    assert verdict.candidates[0].service == "db"


def test_probabilities_add_up_to_one_at_most() -> None:
    for seed in SEEDS:
        verdict = rank(incident(seed, "slow").situation)
        assert sum(one.p for one in verdict.candidates) <= 1.0 + 1e-9
        assert verdict.candidates[0].p <= 0.95


def _shared(name: str) -> list[Case]:
    path = SHARED / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the labelled cases are not here: {path.name}")
    return list(read(path))


@pytest.mark.parametrize(
    ("name", "first", "three"),
    [("petshop", 0.90, 1.0), ("nezha_ob", 0.85, 0.95), ("tvdiag_hotel", 0.75, 0.90), ("rootcausebench", 0.96, 1.0)],
)
def test_labelled_incidents_of_real_systems(name: str, first: float, three: float) -> None:
    cases = _shared(name)
    places = [[one.service for one in rank(case.situation).candidates] for case in cases]
    assert sum(place[0] in case.root_cause for case, place in zip(cases, places, strict=True)) / len(cases) >= first
    assert (
        sum(bool(set(place[:3]) & set(case.root_cause)) for case, place in zip(cases, places, strict=True)) / len(cases)
        >= three
    )


def test_a_machine_is_suspected_where_several_on_it_make_trouble_of_their_own() -> None:
    found = [incident(seed, SICK_NODE) for seed in range(20)]
    ranked = [[one.service for one in rank(each.situation).candidates] for each in found]
    assert sum(each.causes[0] in order[:3] for each, order in zip(found, ranked, strict=True)) >= 18

    said = rank(incident(12, SICK_NODE).situation).named
    assert said is not None
    assert said.service == "node:n1"
    assert said.sentences == (
        "4 of 4 services on node n1 are in trouble of their own (svc-91, svc-01, svc-79, svc-52), 0 of 20 elsewhere",
    )


def test_a_machine_is_not_suspected_for_what_one_service_on_it_does() -> None:
    for seed in SEEDS:
        for fault in FAULTS:
            named = rank(incident(seed, fault).situation).named
            assert named is None or not named.service.startswith("node:")


def two_slow(places: dict[str, dict[str, float]]) -> Situation:
    calls = {"web": ["a", "b", "c", "d"]}
    measured = {name: service(latency=320.0) for name in ("a", "b")} | {name: service() for name in ("c", "d")}
    measured["web"] = service(latency=620.0)
    return replace(situation(calls, measured, metric="latency_mean_ms"), places=places)


def places_named(given: Situation) -> list[str]:
    return [one.service for one in rank(given).candidates if ":" in one.service]


def test_two_slow_services_share_a_machine() -> None:
    alone = {"node:one": {"a": 1.0, "b": 1.0}, "node:two": {"c": 1.0, "d": 1.0, "web": 1.0}}
    assert rank(two_slow(alone)).candidates[0].service == "node:one"


def test_where_everything_is_in_one_place_it_explains_nothing() -> None:
    assert places_named(two_slow({"zone:a": dict.fromkeys(("a", "b", "c", "d", "web"), 1.0)})) == []


def test_zones_that_everything_is_spread_over_are_not_suspected() -> None:
    spread = dict.fromkeys(("a", "b", "c", "d", "web"), 1 / 3)
    assert places_named(two_slow({f"zone:{name}": spread for name in "abc"})) == []


def test_a_place_of_healthy_and_troubled_alike_is_not_suspected() -> None:
    mixed = {"node:one": {"a": 1.0, "c": 1.0}, "node:two": {"b": 1.0, "d": 1.0, "web": 1.0}}
    assert places_named(two_slow(mixed)) == []
