"""Where OpenTelemetry traces ask for more than Zipkin's rules: nothing an instrumented program shows may be lost."""

from __future__ import annotations

import pytest

from bot.layers.linker import link
from bot.model import ENTRY, UNATTRIBUTED
from tests.layers.traces import START, C, Counted, L, M, Made, P, S, otlp, trace, zipkin
from tests.layers.traces import linked as linked_anyhow


def linked(*made: Made, pseudo: bool = False) -> Counted:
    """Links of an OTLP trace, which must not depend on whether it is linked the long way or the short one."""
    spans = trace(*made)
    if all(isinstance(key, bytes) for key in spans):
        assert link(spans, tangled=False) == link(spans, tangled=True)
    return linked_anyhow(*made, pseudo=pseudo)


def test_a_client_and_the_server_below_it_are_one_call_by_the_servers_name() -> None:
    assert linked(otlp("a", "", C, "web", "vip.example"), otlp("b", "a", S, "cart")) == {("web", "cart"): (1, 0)}


def test_local_spans_between_the_halves_do_not_part_them() -> None:
    assert linked(
        otlp("a", "", C, "web", "vip.example"),
        otlp("b", "a", L, "web"),
        otlp("c", "b", L, "web"),
        otlp("d", "c", S, "cart"),
        otlp("e", "d", L, "cart"),
        otlp("f", "e", C, "cart", "cart-db"),
    ) == {("web", "cart"): (1, 0), ("cart", "cart-db"): (1, 0)}


def test_local_spans_below_a_client_do_not_hide_the_peer_it_names() -> None:
    found = linked(otlp("a", "", C, "web", "db"), otlp("b", "a", L, "web"), otlp("c", "b", L, "web"))

    assert found == {("web", "db"): (1, 0)}


def test_a_client_of_zipkin_keeps_zipkins_rule_that_any_child_reports_the_call() -> None:
    assert linked_anyhow(zipkin("a", "", C, "web", "db"), zipkin("b", "a", L, "web")) == {}


def test_a_server_that_does_not_know_its_name_leaves_the_call_to_its_client() -> None:
    assert linked(otlp("a", "", C, "web", "legacy"), otlp("b", "a", S, None)) == {("web", "legacy"): (1, 0)}


@pytest.mark.parametrize("answered", [False, True])
def test_of_clients_nested_in_clients_the_innermost_counts_once(answered: bool) -> None:
    spans = [
        otlp("a", "", S, "web"),
        otlp("b", "a", C, "web", "cart.grpc"),
        otlp("c", "b", L, "web"),
        otlp("d", "c", C, "web", "cart.http"),
    ]
    if answered:
        spans.append(otlp("e", "d", S, "cart"))

    assert linked(*spans) == ({("web", "cart"): (1, 0)} if answered else {("web", "cart.http"): (1, 0)})


def test_a_nested_client_that_names_nobody_leaves_the_call_to_the_outer_one() -> None:
    assert linked(otlp("a", "", C, "web", "cart"), otlp("b", "a", C, "web")) == {("web", "cart"): (1, 0)}


def test_a_server_below_a_nameless_nested_client_reports_the_outer_call_too() -> None:
    assert linked(otlp("a", "", C, "web", "vip"), otlp("b", "a", C, "web"), otlp("c", "b", S, "cart")) == {
        ("web", "cart"): (1, 0)
    }


def test_three_nested_clients_count_once() -> None:
    assert linked(
        otlp("a", "", C, "web", "one"), otlp("b", "a", C, "web", "two"), otlp("c", "b", C, "web", "three")
    ) == {("web", "three"): (1, 0)}


def test_a_client_below_a_client_of_another_service_shows_the_server_nobody_instrumented() -> None:
    assert linked(otlp("a", "", C, "web", "vip"), otlp("b", "a", C, "cart", "cart-db")) == {
        ("web", "cart"): (1, 0),
        ("cart", "cart-db"): (1, 0),
    }


def test_a_server_is_linked_to_the_service_behind_its_parent_even_without_a_client_span() -> None:
    assert linked(otlp("a", "", S, "web"), otlp("b", "a", S, "cart")) == {("web", "cart"): (1, 0)}


def test_a_message_goes_through_the_queue_both_sides_name() -> None:
    assert linked(otlp("a", "", P, "orders", "paid.kafka"), otlp("b", "a", M, "shipping", "paid.kafka")) == {
        ("orders", "paid.kafka"): (1, 0),
        ("paid.kafka", "shipping"): (1, 0),
    }


def test_a_consumer_does_not_report_the_call_of_a_client_that_sent_the_message() -> None:
    assert linked(otlp("a", "", C, "orders", "paid.kafka"), otlp("b", "a", M, "shipping", "paid.kafka")) == {
        ("orders", "paid.kafka"): (1, 0),
        ("paid.kafka", "shipping"): (1, 0),
    }


def test_what_a_consumer_does_is_not_blamed_on_the_producer() -> None:
    assert linked(
        otlp("a", "", P, "orders", "paid.kafka"),
        otlp("b", "a", M, "shipping", "paid.kafka"),
        otlp("c", "b", C, "shipping", "shipping-db", failed=True),
    ) == {("orders", "paid.kafka"): (1, 0), ("paid.kafka", "shipping"): (1, 0), ("shipping", "shipping-db"): (1, 1)}


def test_a_producer_inside_a_client_counts_once_as_the_message() -> None:
    assert linked(otlp("a", "", C, "orders", "sqs.example"), otlp("b", "a", P, "orders", "paid.sqs")) == {
        ("orders", "paid.sqs"): (1, 0)
    }


def test_a_producer_without_a_broker_leaves_the_call_to_the_client_around_it() -> None:
    assert linked(otlp("a", "", C, "orders", "sqs.example"), otlp("b", "a", P, "orders")) == {
        ("orders", "sqs.example"): (1, 0)
    }


def test_an_orphan_is_never_hung_on_the_root() -> None:
    assert linked(otlp("a", "", S, "web"), otlp("c", "gone", S, "cart"), pseudo=True) == {
        (ENTRY, "web"): (1, 0),
        (UNATTRIBUTED, "cart"): (1, 0),
    }


def test_an_orphan_server_that_names_its_caller_is_believed() -> None:
    assert linked(otlp("a", "gone", S, "cart", "web"), pseudo=True) == {("web", "cart"): (1, 0)}


def test_the_caller_found_in_the_trace_is_preferred_to_the_one_the_server_names() -> None:
    assert linked(otlp("a", "", C, "web"), otlp("b", "a", S, "cart", "proxy")) == {("web", "cart"): (1, 0)}


def test_a_server_below_a_client_that_does_not_know_its_name_is_called_by_nobody_knows_whom() -> None:
    assert linked(otlp("a", "", C, None, "x"), otlp("b", "a", S, "cart"), pseudo=True) == {
        (UNATTRIBUTED, "cart"): (1, 0)
    }


def test_a_zero_parent_id_is_no_parent() -> None:
    span_id, span = otlp("a", "", S, "web")

    assert [found[0] for found in link({span_id: (bytes(8), *span[1:])}, tangled=False)] == [ENTRY]


@pytest.mark.parametrize("kind", [S, C])
def test_a_span_that_says_it_is_its_own_parent_is_nobodys_child(kind: int) -> None:
    expected = {(UNATTRIBUTED, "web"): (1, 0)} if kind == S else {("web", "db"): (1, 0)}

    assert linked(otlp("a", "a", kind, "web", "db" if kind == C else None), pseudo=True) == expected


def test_clients_that_are_each_others_parents_do_not_hang_the_linker() -> None:
    assert linked(otlp("a", "b", C, "web"), otlp("b", "a", C, "web"), otlp("c", "a", S, "cart")) == {
        ("web", "cart"): (1, 0)
    }


def test_local_spans_that_are_each_others_parents_lead_nowhere() -> None:
    assert linked(
        otlp("a", "b", L, "web"),
        otlp("b", "c", L, "web"),
        otlp("c", "a", L, "web"),
        otlp("d", "b", S, "cart"),
        pseudo=True,
    ) == {(UNATTRIBUTED, "cart"): (1, 0)}


def test_a_client_and_its_server_with_one_id_are_paired_as_they_come_out_of_a_zipkin_receiver() -> None:
    assert linked(
        otlp("b", "a", C, "web", "vip"),
        otlp("b", "a", S, "cart"),
        otlp("c", "b", L, "cart"),
        otlp("d", "c", C, "cart", "cart-db"),
    ) == {("web", "cart"): (1, 0), ("cart", "cart-db"): (1, 0)}


def test_a_service_that_calls_itself_with_one_id_is_kept() -> None:
    assert linked(otlp("a", "", C, "web"), otlp("a", "", S, "web")) == {("web", "web"): (1, 0)}


def test_a_call_from_zipkin_to_otlp_and_back_is_paired() -> None:
    assert linked_anyhow(
        zipkin("a", "", C, "old-front"),
        otlp("b", "a", S, "new"),
        otlp("c", "b", C, "new", "vip"),
        zipkin("d", "c", S, "old-back"),
    ) == {("old-front", "new"): (1, 0), ("new", "old-back"): (1, 0)}


def test_weight_and_duration_are_the_reporting_spans() -> None:
    found = link(
        trace(
            otlp("a", "", C, "web", weight=4.0, duration=9_000_000),
            otlp("b", "a", S, "cart", weight=2.0, duration=7_000_000),
            otlp("c", "b", C, "cart", "cart-db", weight=2.0, duration=-5),
        )
    )

    minute = START // 60_000_000_000 * 60
    assert found == [("web", "cart", minute, False, 7_000_000, 2.0), ("cart", "cart-db", minute, False, -5, 2.0)]


def test_ten_thousand_local_spans_in_a_row_are_climbed_once() -> None:
    spans = [otlp("root", "", C, "web")] + [
        otlp(str(number), str(number - 1) if number else "root", L, "web") for number in range(10_000)
    ]
    spans += [otlp(f"s{number}", str(9_999 - number), S, "cart") for number in range(5_000)]

    assert linked(*spans) == {("web", "cart"): (5_000, 0)}
