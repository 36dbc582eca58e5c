"""Zipkin's rules, situation by situation (those of openzipkin/zipkin, `DependencyLinkerTest` and `SpanNodeTest`)."""

from __future__ import annotations

import pytest

from bot.layers.linker import link
from bot.model import ENTRY, UNATTRIBUTED
from tests.layers.traces import MINUTE, START, C, L, M, Made, P, S, linked, trace, zipkin

WEB_APP_DB = (
    zipkin("c", "b", C, "app", "db", failed=True),
    zipkin("b", "a", S, "app", "web", shared=True),
    zipkin("b", "a", C, "web", "app"),
    zipkin("a", "", S, "web"),
)


def test_no_spans_make_no_links() -> None:
    assert link({}) == []


def test_a_client_and_a_server_with_one_id_are_one_call() -> None:
    assert linked(*WEB_APP_DB) == {("web", "app"): (1, 0), ("app", "db"): (1, 1)}


def test_a_shared_server_that_was_not_given_its_parent_id_is_still_its_clients() -> None:
    assert linked(
        zipkin("a", "", S, "arn"),
        zipkin("b", "a", C, "arn", "link"),
        zipkin("b", "", S, "link", "arn", shared=True),
    ) == {("arn", "link"): (1, 0)}


def test_a_client_that_lost_its_parent_id_hangs_on_the_root() -> None:
    lost = zipkin("b", "", C, "web", "app")
    assert linked(*WEB_APP_DB[:2], lost, WEB_APP_DB[3]) == {("web", "app"): (1, 0), ("app", "db"): (1, 1)}


def test_a_shared_server_whose_client_never_came_hangs_on_the_root() -> None:
    orphan = zipkin("b", "", S, "app", "web", shared=True)
    assert linked(WEB_APP_DB[0], orphan, WEB_APP_DB[3]) == {("web", "app"): (1, 0), ("app", "db"): (1, 1)}


@pytest.mark.parametrize(
    ("producer_names", "consumer_names", "links"),
    [
        (None, "kafka", {("kafka", "consumer"): (1, 0)}),
        ("kafka", None, {("producer", "kafka"): (1, 0)}),
        ("kafka", "kafka", {("producer", "kafka"): (1, 0), ("kafka", "consumer"): (1, 0)}),
        ("kafka1", "kafka2", {("producer", "kafka1"): (1, 0), ("kafka2", "consumer"): (1, 0)}),
        (None, None, {}),
    ],
    ids=["only the consumer", "only the producer", "both", "two brokers", "nobody"],
)
def test_messages_link_through_the_broker_each_side_names_and_never_past_it(
    producer_names: str | None, consumer_names: str | None, links: dict[tuple[str, str], tuple[int, int]]
) -> None:
    found = linked(zipkin("a", "", P, "producer", producer_names), zipkin("b", "a", M, "consumer", consumer_names))

    assert found == links


@pytest.mark.parametrize("shared", [False, True], ids=["different span ids", "the same span id"])
def test_a_server_below_a_producer_is_a_call_after_all(shared: bool) -> None:
    server = zipkin("a", "", S, "server", shared=True) if shared else zipkin("b", "a", S, "server")

    assert linked(zipkin("a", "", P, "producer"), server) == {("producer", "server"): (1, 0)}


def test_a_client_is_never_linked_to_a_consumer() -> None:
    assert linked(zipkin("a", "", C, "client"), zipkin("b", "a", M, "consumer")) == {}


@pytest.mark.parametrize(
    "root", [zipkin("a", "", S, "server", "client"), zipkin("a", "", C, "client", "server", shared=True)]
)
def test_a_lone_span_that_knows_both_sides_is_directed_by_its_kind(root: Made) -> None:
    assert linked(root) == {("client", "server"): (1, 0)}


@pytest.mark.parametrize("kind", [S, C])
def test_a_service_that_calls_itself_is_kept(kind: int) -> None:
    assert linked(zipkin("a", "", kind, "service", "service")) == {("service", "service"): (1, 0)}


@pytest.mark.parametrize(
    ("kind", "service", "peer"),
    [(S, None, None), (S, "server", None), (S, None, "client"), (C, None, None), (C, "client", None), (C, None, "x")],
)
def test_a_lone_span_that_knows_one_side_makes_no_link(kind: int, service: str | None, peer: str | None) -> None:
    assert linked(zipkin("a", "", kind, service, peer)) == {}


def test_a_nameless_client_takes_the_name_of_the_server_above_it() -> None:
    assert linked(
        zipkin("a", "", S, "client"), zipkin("b", "a", C, None, "server"), zipkin("c", "a", C, None, "server")
    ) == {("client", "server"): (2, 0)}


@pytest.mark.parametrize("failed", [False, True])
def test_two_halves_with_different_ids_are_one_call_and_one_error(failed: bool) -> None:
    assert linked(zipkin("a", "", C, "client", failed=failed), zipkin("b", "a", S, "server", failed=failed)) == {
        ("client", "server"): (1, int(failed))
    }


def test_two_halves_with_one_id_are_one_error() -> None:
    assert linked(
        zipkin("a", "", C, "client", failed=True), zipkin("a", "", S, "server", failed=True, shared=True)
    ) == {("client", "server"): (1, 1)}


def test_an_error_only_the_client_saw_fails_the_call() -> None:
    assert linked(zipkin("a", "", C, "web", failed=True), zipkin("b", "a", S, "app")) == {("web", "app"): (1, 1)}


def test_the_servers_own_name_is_preferred_to_the_one_its_client_uses() -> None:
    assert linked(zipkin("a", "", C, "client", "vip-of-server"), zipkin("b", "a", S, "server")) == {
        ("client", "server"): (1, 0)
    }


def test_one_client_span_answered_by_two_servers_is_two_calls() -> None:
    assert linked(
        zipkin("a", "", C, "client", "server"),
        zipkin("b", "a", S, "server", "client", failed=True),
        zipkin("c", "a", S, "server", "client"),
    ) == {("client", "server"): (2, 1)}


@pytest.mark.parametrize("failed", [False, True])
def test_clients_of_another_service_below_a_server_show_a_call_nobody_reported_without_its_errors(failed: bool) -> None:
    assert linked(
        zipkin("a", "", S, "client"),
        zipkin("b", "a", L, None),
        zipkin("c", "b", C, "server", failed=failed),
        zipkin("d", "b", C, "server", failed=failed),
    ) == {("client", "server"): (2, 0)}


def test_the_errors_of_reported_calls_behind_an_unreported_one_are_their_own() -> None:
    assert linked(
        zipkin("a", "", S, "foo"),
        zipkin("b", "a", L, None),
        zipkin("c", "b", C, "bar", "baz", failed=True),
        zipkin("d", "b", C, "bar", "baz"),
    ) == {("foo", "bar"): (2, 0), ("bar", "baz"): (2, 1)}


def test_a_missing_span_between_two_services_is_put_in() -> None:
    assert linked(zipkin("a", "", S, "web"), zipkin("b", "a", C, "app")) == {("web", "app"): (1, 0)}


@pytest.mark.parametrize("failed", [False, True])
def test_spans_of_no_kind_that_know_both_sides_count_as_clients(failed: bool) -> None:
    assert linked(
        zipkin("a", "", L, "some-client", "web"),
        zipkin("b", "a", L, "web", "app", failed=failed),
        zipkin("c", "b", L, "app", "db"),
    ) == {("some-client", "web"): (1, 0), ("web", "app"): (1, int(failed)), ("app", "db"): (1, 0)}


def test_unrelated_servers_below_a_missing_root_are_not_linked() -> None:
    assert linked(zipkin("b", "a", S, "one"), zipkin("c", "a", S, "two")) == {}


def test_related_servers_below_a_missing_root_are_linked() -> None:
    assert linked(zipkin("b", "a", S, "one"), zipkin("c", "b", S, "two")) == {("one", "two"): (1, 0)}


def test_an_orphan_hangs_on_the_root_even_where_that_is_a_client() -> None:
    found = linked(zipkin("a", "", C, "job", "elsewhere", failed=True), zipkin("c", "gone", S, "worker"))

    assert found == {("job", "worker"): (1, 0)}, "the root has a child now, and its error is not the orphan's"


def test_the_first_of_two_roots_by_id_is_the_root_and_the_other_hangs_below_it() -> None:
    assert linked(zipkin("a", "", S, "front"), zipkin("b", "", S, "back")) == {("front", "back"): (1, 0)}


def test_spans_sent_in_parts_are_put_together() -> None:
    assert linked(
        zipkin("a", "", S, "web"),
        zipkin("b", "a", L, "web"),
        zipkin("b", "", C, "web", failed=True),
        zipkin("b", "", L, None, "db", duration=0),
    ) == {("web", "db"): (1, 1)}


def test_a_server_that_does_not_say_it_shares_its_clients_id_is_recognised() -> None:
    assert linked(zipkin("b", "a", C, "web", "app"), zipkin("b", "a", S, "app")) == {("web", "app"): (1, 0)}


def test_children_belong_to_the_server_they_run_in_where_two_share_an_id() -> None:
    found = linked(
        zipkin("a", "", L, None),
        zipkin("b", "a", C, "front"),
        zipkin("b", "a", S, "foo", shared=True),
        zipkin("b", "a", S, "bar", shared=True),
        zipkin("c", "b", C, "bar", "bar-db"),
        zipkin("d", "b", C, "foo", "foo-db"),
    )

    assert found == {
        ("front", "foo"): (1, 0),
        ("front", "bar"): (1, 0),
        ("bar", "bar-db"): (1, 0),
        ("foo", "foo-db"): (1, 0),
    }


def test_two_instances_of_one_service_that_share_an_id_are_told_apart_by_address() -> None:
    found = linked(
        zipkin("b", "a", C, "front"),
        zipkin("b", "a", S, "app", shared=True, at=("10.0.0.1", "", 80)),
        zipkin("b", "a", S, "app", shared=True, at=("10.0.0.2", "", 80), failed=True),
    )

    assert found == {("front", "app"): (2, 1)}


def test_a_child_whose_address_changed_falls_back_to_the_client_with_that_id() -> None:
    found = linked(
        zipkin("c", "a", S, "app", shared=True, at=("10.2.3.4", "", 0)),
        zipkin("b", "c", C, "app", "db", at=("169.2.3.4", "", 0)),
    )

    assert found == {("app", "db"): (1, 0)}


def test_a_stray_span_with_the_id_of_a_call_does_not_move_the_call() -> None:
    """The id of the guardian's client is also on a span of no kind, reported by the server's host."""
    found = linked(
        zipkin("a", "", S, "execution"),
        zipkin("b", "a", C, "execution"),
        zipkin("b", "a", S, "guardian", shared=True),
        zipkin("c", "b", C, "guardian"),
        zipkin("c", "b", L, "platform"),
        zipkin("c", "b", S, "platform", shared=True),
    )

    assert found == {("execution", "guardian"): (1, 0), ("guardian", "platform"): (1, 0)}


def test_spans_that_are_each_others_parents_end_nowhere() -> None:
    assert linked(zipkin("a", "b", L, "x"), zipkin("b", "a", L, "x"), zipkin("c", "a", S, "y")) == {}


def test_a_root_server_was_entered_from_outside_and_an_orphan_by_nobody_knows_whom() -> None:
    assert linked(zipkin("a", "", S, "web"), pseudo=True) == {(ENTRY, "web"): (1, 0)}
    assert linked(zipkin("a", "gone", S, "web"), pseudo=True) == {(UNATTRIBUTED, "web"): (1, 0)}
    assert linked(zipkin("a", "", S, "web", shared=True), pseudo=True) == {(UNATTRIBUTED, "web"): (1, 0)}


def test_a_link_carries_the_servers_window_and_duration() -> None:
    [found] = link(
        trace(
            zipkin("a", "", C, "web", duration=9_000_000),
            zipkin("b", "a", S, "app", start=START + 60_000_000_000, duration=5_000_000),
        )
    )

    assert found == ("web", "app", MINUTE + 60, False, 5_000_000, 1.0)
