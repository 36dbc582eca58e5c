"""Names: what is one service must get one id in every layer, and what is two must never get one."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import names
from bot.errors import Ambiguous, NotFound
from bot.model import PSEUDO, Kind, Node
from bot.names import MAX_ID, NameIndex
from bot.near_names import close_matches

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
PLAIN = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=12)


def made(name: str, namespace: str = "", environment: str = "") -> Node:
    node = names.service(name, namespace, environment)
    assert node is not None
    return node


def host_id(host: str) -> str | None:
    node = names.from_host(host)
    return node.id if node else None


# -- explicit names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "identifier"),
    [
        (("payments",), "payments"),
        (("Payments", "Shop"), "payments.shop"),
        (("payments", "", "Prod"), "payments@prod"),
        (("payments", "shop", "prod"), "payments.shop@prod"),
        (("payments.shop", "shop"), "payments.shop"),
        (("  payments  ", " shop "), "payments.shop"),
        (("ＰＡＹＭＥＮＴＳ",), "payments"),
        (("payments\u200b",), "payments"),
        (("\u202epayments\u2066",), "payments"),
        (("pay\x00ments\x7f",), "payments"),
        (("pay\nments",), "pay ments"),
        (("pay\ud800ments",), "payments"),
        (("pay@ments",), "pay_ments"),
        (("(entry)",), "_entry_"),
        (("payments", "shop@prod"), "payments.shop_prod"),
    ],
)
def test_one_service_is_written_one_way(given_name: tuple[str, ...], identifier: str) -> None:
    assert made(*given_name).id == identifier


@pytest.mark.parametrize("nothing", ["", "   ", "\x00", "\u200b\u202e", "\ud800", "\n\t", "\ufeff"])
def test_a_name_of_which_nothing_is_left_names_nobody(nothing: str) -> None:
    assert names.service(nothing) is None
    assert names.service(nothing, "shop", "prod") is None
    assert names.from_host(nothing) is None


@pytest.mark.parametrize("pseudo", sorted(PSEUDO))
def test_nobody_can_call_a_service_by_the_name_of_a_pseudo_caller(pseudo: str) -> None:
    assert made(pseudo).id not in PSEUDO


def test_one_name_in_two_environments_is_two_services() -> None:
    assert made("payments", "", "prod").id != made("payments", "", "staging").id


def test_a_name_cannot_pose_as_one_with_an_environment() -> None:
    assert made("payments@prod").id != made("payments", "", "prod").id


def test_a_very_long_name_keeps_its_start_and_stays_one_of_its_own() -> None:
    one, other = made("x" * 10_000 + "a"), made("x" * 10_000 + "b")

    assert one.id != other.id
    assert len(one.id) == len(other.id) == MAX_ID
    assert one.id.startswith("xxx")
    assert max(len(one.name), len(other.name)) <= MAX_ID


def test_a_long_name_is_folded_like_a_short_one() -> None:
    assert made("Payments" * 50).id == made("payments" * 50).id


def test_three_long_parts_make_an_id_within_the_limit() -> None:
    ids = {made("n" * 150, "s" * 150, "e" * 150 + end).id for end in ("1", "2")}

    assert len(ids) == 2
    assert {len(one) for one in ids} == {MAX_ID}


def test_a_hostile_name_costs_no_more_time_than_another() -> None:
    """Marks in falling order of class: normalising them takes time in the square of their number."""
    started = time.process_time()
    made("a" + "\u0301\u0316" * 500_000)

    assert time.process_time() - started < 0.5


@settings(deadline=None)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.sampled_from(Kind))
@example("J\u030c", "", "", Kind.SERVICE)
@example("e\u200d\u0301", "", "", Kind.SERVICE)
@example("\ufdfa" * 200, "ns", "", Kind.SERVICE)
@example("\ud800" * 300, "\udfff" * 300, "", Kind.SERVICE)
@example("İstanbul", "Ǆ", "ẞ", Kind.SERVICE)
def test_a_service_named_by_its_own_name_is_itself(name: str, namespace: str, environment: str, kind: Kind) -> None:
    node = names.service(name, namespace, environment, kind)
    if node is None:
        assert names.clean(name) == ""
        return

    assert names.service(node.name, node.namespace, node.environment, node.kind) == node
    assert 0 < len(node.id) <= MAX_ID
    assert names.clean(node.id) == node.id
    assert not set(node.id) & set("()")
    node.id.encode()


@settings(deadline=None)
@given(st.tuples(PLAIN, PLAIN, PLAIN), st.tuples(PLAIN, PLAIN, PLAIN))
def test_different_services_never_share_an_id(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (made(*one).id == made(*other).id) is (one == other)


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=MAX_ID, max_size=400), st.data())
def test_names_that_differ_beyond_the_limit_stay_different(name: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(name) - 1))
    other = f"{name[:position]}{'-'}{name[position + 1 :]}"

    assert made(name).id != made(other).id


# -- hosts and addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "identifier"),
    [
        ("payments", "payments"),
        ("payments:8080", "payments"),
        ("PAYMENTS.", "payments"),
        ("payments.shop.svc.cluster.local", "payments.shop"),
        ("payments.shop.svc.cluster.local:8080", "payments.shop"),
        ("payments.shop.svc.cluster.local.", "payments.shop"),
        ("payments.shop.svc", "payments.shop"),
        ("payments.shop.svc.acme.example", "payments.shop"),
        ("payments.shop", "payments.shop"),
        ("pg-0.pg.shop.svc.cluster.local:5432", "pg.shop"),
        ("db.internal", "db.internal"),
        ("printer.local", "printer.local"),
        ("api.stripe.com:443", "api.stripe.com"),
        ("8.8.8.8:53", "8.8.8.8"),
        ("2606:4700:4700::1111", "2606:4700:4700::1111"),
        ("[2606:4700:4700::1111]:853", "2606:4700:4700::1111"),
        ("2606:4700:4700:0:0:0:0:1111", "2606:4700:4700::1111"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
    ],
)
def test_a_host_leads_to_its_service(host: str, identifier: str) -> None:
    assert host_id(host) == identifier


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8080", "localhost.localdomain", "ip6-localhost", "host.docker.internal",
        "127.0.0.1", "127.0.0.1:9090", "::1", "[::1]:8080", "0.0.0.0",
        "10.0.0.7", "10.0.0.7:5432", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.9",
        "fe80::1", "fe80::1%eth0", "fd00::7", "::ffff:10.0.0.7", "::", "[]", ":8080", ".",
    ],
)  # fmt: skip
def test_a_private_address_or_this_very_host_names_nobody(host: str) -> None:
    """A guess would merge every service's own localhost into one."""
    assert names.from_host(host) is None


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("payments", Kind.SERVICE),
        ("payments.shop.svc.cluster.local", Kind.SERVICE),
        ("db.corp", Kind.SERVICE),
        ("api.stripe.com", Kind.EXTERNAL),
        ("8.8.8.8", Kind.EXTERNAL),
    ],
)
def test_what_lies_outside_is_external(host: str, kind: Kind) -> None:
    node = names.from_host(host)

    assert node is not None
    assert node.kind is kind


def test_a_dialled_cluster_name_and_an_announced_one_are_one_service() -> None:
    assert host_id("payments.shop.svc.cluster.local:8080") == made("payments", "shop").id
    assert host_id("payments.shop:8080") == made("payments", "shop").id


def test_a_host_has_the_environment_of_its_caller_and_an_outside_host_has_none() -> None:
    inside, outside = names.from_host("payments:80", "prod"), names.from_host("api.stripe.com", "prod")

    assert inside is not None
    assert outside is not None
    assert (inside.id, outside.id) == ("payments@prod", "api.stripe.com")


@settings(deadline=None)
@given(ANY_TEXT, ANY_TEXT)
@example("[" * 300 + ":1", "")
@example("1" * 5_000, "")
def test_any_host_whatever_gives_a_service_or_nobody(host: str, environment: str) -> None:
    node = names.from_host(host, environment)

    assert node is None or (0 < len(node.id) <= MAX_ID and names.clean(node.id) == node.id)


def test_a_database_is_named_by_host_else_by_schema_and_system_else_by_system() -> None:
    by_host = names.database("postgresql", "payments-db:5432", "pay")
    by_schema = names.database("postgresql", "10.0.0.7", "pay")
    by_system = names.database("postgresql", "localhost")

    assert [node.id for node in (by_host, by_schema, by_system) if node] == [
        "payments-db",
        "pay.postgresql",
        "postgresql",
    ]
    assert {node.kind for node in (by_host, by_schema, by_system) if node} == {Kind.DATABASE}
    assert names.database("") is None


@pytest.mark.parametrize("system", ["redis", "Memcached", "valkey"])
def test_a_cache_is_told_from_a_database(system: str) -> None:
    node = names.database(system, "sessions")

    assert node is not None
    assert node.kind is Kind.CACHE


def test_a_queue_does_not_merge_with_the_service_of_its_name() -> None:
    node = names.queue("kafka", "orders")

    assert node is not None
    assert (node.id, node.kind) == ("orders.kafka", Kind.QUEUE)
    assert node.id != made("orders").id
    assert names.queue("", "") is None


# -- pods ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("payments-7d9f8b6c5d-x2x9z", "payments"),
        ("payments-db-0", "payments-db"),
        ("payments-db-12", "payments-db"),
        ("fluentd-x2x9z", "fluentd"),
        ("Payments-7d9f8b6c5d-x2x9z", "payments"),
        ("payments", "payments"),
        ("payments-api", "payments-api"),
        ("payments-worker", "payments-worker"),
        ("x2x9z", "x2x9z"),
        ("-0", "-0"),
        ("", ""),
    ],
)
def test_a_pod_leads_to_its_workload(pod: str, workload: str) -> None:
    assert names.workload_of_pod(pod) == workload


# -- finding ---------------------------------------------------------------------------------------------------------


def index_of(*nodes: Node, **aliases: str) -> NameIndex:
    index = NameIndex(aliases)
    for node in nodes:
        index.add(node)
    return index


def test_names_learnt_later_find_a_service_but_rename_no_telemetry() -> None:
    index = NameIndex({"old": "payments"})
    index.add(Node("payments", name="payments"))
    index.learn({"new name": "payments"})

    assert index.resolve("New Name") == "payments"
    assert index.resolve("old") == "payments"
    assert (index.canonical("old"), index.canonical("new name")) == ("payments", "new name")
    assert index.renamed == {"old"}


def test_a_service_is_found_by_id_by_id_without_environment_and_by_bare_name() -> None:
    index = index_of(made("payments", "shop", "prod"), made("web"))

    for text in ("payments.shop@prod", "payments.shop", "payments", " PAYMENTS ", "pay\u200bments"):
        assert index.find(text) == "payments.shop@prod"


def test_of_two_namesakes_neither_is_taken() -> None:
    index = index_of(made("payments", "shop"), made("payments", "billing"))

    assert index.find("payments") is None
    assert index.find("payments.shop") == "payments.shop"
    with pytest.raises(Ambiguous, match="2 services are called 'payments'") as raised:
        index.resolve("payments")
    assert raised.value.suggestions == ("payments.billing", "payments.shop")


def test_a_whole_id_wins_over_a_namesake_in_a_namespace() -> None:
    index = index_of(made("payments"), made("payments", "shop"))

    assert index.find("payments") == "payments"


def test_the_environments_of_a_service_are_namesakes() -> None:
    index = index_of(made("payments", "", "prod"), made("payments", "", "staging"))

    with pytest.raises(Ambiguous) as raised:
        index.resolve("payments")
    assert raised.value.suggestions == ("payments@prod", "payments@staging")


def test_an_alias_leads_to_its_service_in_whatever_case() -> None:
    index = index_of(made("payments", "shop"), **{"Pay-Svc": "payments", "PF9KMXH": "Payments.Shop"})

    assert index.find("pay-svc") == index.find("pf9kmxh") == index.resolve("PAY-SVC") == "payments.shop"


def test_an_alias_of_two_namesakes_says_which_there_are() -> None:
    index = index_of(made("payments", "shop"), made("payments", "billing"), **{"pay": "payments"})

    with pytest.raises(Ambiguous) as raised:
        index.resolve("pay")
    assert raised.value.suggestions == ("payments.billing", "payments.shop")


def test_an_alias_of_nobody_finds_nobody() -> None:
    assert index_of(made("web"), pay="payments").find("pay") is None


def test_an_unknown_name_comes_with_the_closest_known_ones() -> None:
    index = index_of(made("payments"), made("payouts"), made("web"))

    with pytest.raises(NotFound, match=r"No service called 'paymnets' on the map\. Closest: payments") as raised:
        index.resolve("paymnets")
    assert raised.value.suggestions[0] == "payments"
    assert "web" not in raised.value.suggestions


def test_an_empty_map_says_that_it_is_empty() -> None:
    with pytest.raises(NotFound, match="The map is empty so far"):
        NameIndex().resolve("payments")


def test_a_name_unlike_any_other_gets_no_suggestion() -> None:
    with pytest.raises(NotFound, match=r"^No service called 'qqqq' on the map\.$"):
        index_of(made("web")).resolve("qqqq")


def test_the_answer_to_a_very_long_name_is_short() -> None:
    with pytest.raises(NotFound) as raised:
        index_of(made("web")).resolve("x" * 10_000)
    assert len(str(raised.value)) < 200


def test_suggestions_are_the_same_whatever_order_they_are_known_in() -> None:
    known = ["payments-b", "payments-a", "payments-c", "payments-d"]

    found = close_matches("payments", known, 3)
    assert found == close_matches("payments", reversed(known), 3) == ("payments-a", "payments-b", "payments-c")


@pytest.mark.parametrize("text", ["paymnets", "payment", "Paymennts", "payments.shp"])
def test_a_slip_of_the_finger_is_seen_through_where_only_one_service_can_be_meant(text: str) -> None:
    assert index_of(made("payments", "shop"), made("web")).misspelt(text) == "payments.shop"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("payments-c", ("payments-a", "payments-b")),
        ("cache-3", ("cache-1",)),
        ("shard2", ("shard",)),
        ("web", ("wed",)),
        ("pay", ("payments",)),
        ("", ("a",)),
    ],
)
def test_nobody_is_taken_for_another_on_less_than_a_clear_slip(text: str, known: tuple[str, ...]) -> None:
    assert index_of(*map(made, known)).misspelt(text) is None


def test_a_slip_in_a_name_that_two_services_share_is_left_to_the_person() -> None:
    assert index_of(made("payments", "a"), made("payments", "b")).misspelt("paymnets") is None


def test_a_forgotten_service_is_found_no_more_under_any_name() -> None:
    payments = made("payments", "shop", "prod")
    index = index_of(payments)
    index.discard(payments.id)

    assert [index.find(text) for text in ("payments", "payments.shop", "payments.shop@prod")] == [None, None, None]
    assert payments.id not in index


def test_when_a_namesake_leaves_the_other_one_is_found() -> None:
    shop, billing = made("payments", "shop"), made("payments", "billing")
    index = index_of(shop, billing)
    index.discard(billing.id)

    assert index.find("payments") == "payments.shop"


def test_a_service_described_twice_is_found_by_both_names_and_forgotten_whole() -> None:
    """First dialled as a dotted host, later announced with its namespace."""
    index = index_of(Node("payments.shop", Kind.EXTERNAL, "payments.shop"), made("payments", "shop"))
    assert index.find("payments") == "payments.shop"
    index.discard("payments.shop")

    assert vars(index) == vars(NameIndex())


@settings(deadline=None)
@given(st.lists(st.tuples(PLAIN, st.sampled_from(("", "shop", "pay")), st.sampled_from(("", "prod"))), max_size=20))
def test_what_is_added_and_discarded_leaves_nothing(parts: list[tuple[str, str, str]]) -> None:
    index = NameIndex()
    nodes = [made(*one) for one in parts]
    for node in (*nodes, *nodes):
        index.add(node)
    for node in nodes:
        assert index.resolve(node.id) == node.id
    for node in (*nodes, *nodes):
        index.discard(node.id)

    assert all(index.find(text) is None for node in nodes for text in (node.id, node.name, names.bare(node.id)))
    assert vars(index) == vars(NameIndex())


# -- ids made without the map ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_the_map", "told", "placed"),
    [
        ([("payments", "", "")], "payments", "payments"),
        ([("payments", "shop", "prod")], "payments", "payments.shop@prod"),
        ([("payments", "shop", "prod")], "payments@production", "payments.shop@prod"),
        ([("payments", "", "prod"), ("payments", "", "stg")], "payments@staging", "payments@stg"),
        ([("payments", "", "prod"), ("payments", "", "staging")], "payments", "payments"),
        ([("payments", "", "prod")], "payments@staging", "payments@staging"),
        ([("payments", "", "")], "payments@production", "payments"),
        ([("payments", "", "")], "payments@staging", "payments@staging"),
        ([("payments", "", "")], "payments.apps", "payments"),
        ([("payments", "shop", "")], "payments.apps", "payments.apps"),
        ([("payments", "shop", ""), ("payments", "billing", "")], "payments", "payments"),
        ([("payments", "", "eu"), ("payments", "", "us")], "payments@eu", "payments@eu"),
        ([], "payments", "payments"),
    ],
)
def test_an_id_made_without_the_map_is_placed_where_one_service_alone_fits(
    on_the_map: list[tuple[str, str, str]], told: str, placed: str
) -> None:
    assert index_of(*(made(*one) for one in on_the_map)).placed(told) == placed


def test_the_alias_table_places_an_id_whether_or_not_its_target_is_on_the_map() -> None:
    index = index_of(**{"pay-svc": "payments"})

    assert index.placed("pay-svc@prod") == "payments@prod"
    index.add(made("payments", "shop", "prod"))
    assert index.placed("pay-svc@prod") == "payments.shop@prod"


@given(ANY_TEXT)
def test_placing_any_text_never_fails(text: str) -> None:
    assert index_of(made("payments", "shop", "prod")).placed(text) is not None
