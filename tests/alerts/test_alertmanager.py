"""What Alertmanager sends, and what the door makes of it."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bot.alerts import alertmanager
from bot.alerts.alertmanager import MAX_ALERTS
from bot.errors import BadRequest, Unauthorized
from bot.model import Alert, AlertStatus, Delivery, ServiceHint
from tests.alerts.bodies import (
    ANY_JSON,
    FIRED_AT,
    NOTIFICATION,
    RECEIVED_AT,
    alert,
    notification,
    paths,
    replaced,
    texts_of,
)

SAMPLES = Path(__file__).parents[2].parent / "shared" / "payloads" / "alertmanager"


def parse(body: bytes, received_at: float = RECEIVED_AT) -> Delivery:
    return alertmanager.parse(body, {}, received_at)


def one(body: bytes) -> Alert:
    (found,) = parse(body).alerts
    return found


def outcome(body: bytes) -> tuple[Delivery, str]:
    """What the door makes of a body: alerts, or none and the reason."""
    try:
        return parse(body), ""
    except BadRequest as error:
        return Delivery("", ()), str(error)


def hints(**labels: str) -> list[tuple[str, str]]:
    """(name, namespace) of every hint, surest first."""
    return [(hint.name, hint.namespace) for hint in one(notification(alert(labels))).service_hints]


def hint_names(**labels: str) -> list[str]:
    return [name for name, _ in hints(**labels)]


def test_a_bearer_token_is_asked_for() -> None:
    alertmanager.verify(CIMultiDict({"authorization": "Bearer s3cret"}), b"", ("s3cret",))
    with pytest.raises(Unauthorized):
        alertmanager.verify({}, b"", ("s3cret",))


def test_a_notification_becomes_alerts_in_our_words() -> None:
    found = one(notification())

    assert found == Alert(
        source="alertmanager",
        fingerprint="c5a2f0e0d1b34477",
        status=AlertStatus.FIRING,
        starts_at=FIRED_AT,
        title="HighErrorRate",
        group_key='{}/{team="shop"}:{alertname="HighErrorRate"}',
        service_hints=(ServiceHint("payments", "label service"),),
        summary="14% of requests fail",
        severity="critical",
        environment="prod",
        labels={"alertname": "HighErrorRate", "service": "payments", "severity": "critical", "env": "prod"},
        link="http://prometheus.example:9090/graph?g0.expr=errors+%3E+0.1",
        runbook="https://runbooks.example/payments/5xx",
    )


def test_each_alert_has_its_own_state_whatever_the_group_says() -> None:
    ended = alert(status="resolved", endsAt="2026-10-31T03:11:00Z", fingerprint="ended")
    delivery = parse(notification(alert(), ended, status="firing"))

    assert [(found.status, found.ends_at) for found in delivery.alerts] == [
        (AlertStatus.FIRING, None),
        (AlertStatus.RESOLVED, FIRED_AT + 1_200),
    ]


def test_while_an_alert_fires_its_end_means_nothing() -> None:
    assert one(notification(alert(endsAt="2026-10-31T02:56:00Z"))).ends_at is None


def test_a_resolved_alert_without_a_usable_end_ended_when_we_heard_of_it() -> None:
    assert one(notification(alert(status="resolved"))).ends_at == RECEIVED_AT


def test_new_fields_of_newer_versions_are_left_alone() -> None:
    assert one(notification(alert(soundtrack="alarm.ogg"), notificationVersion=7)) == one(notification())


def test_a_silent_group_gives_no_alerts() -> None:
    assert parse(notification(alerts=[])).alerts == ()


@pytest.mark.parametrize(
    ("annotations", "common", "summary"),
    [
        ({"summary": "S", "description": "D", "message": "M"}, {}, "S"),
        ({"description": "D", "message": "M"}, {}, "D"),
        ({"message": "M"}, {}, "M"),
        ({"summary": "", "description": "D"}, {}, "D"),
        ({}, {"summary": "common"}, "common"),
        ({"summary": "own"}, {"summary": "common"}, "own"),
        ({}, {}, ""),
        (None, None, ""),
    ],
)
def test_the_summary_is_the_shortest_thing_anybody_wrote(annotations: Any, common: Any, summary: str) -> None:
    assert one(notification(alert(annotations=annotations), commonAnnotations=common)).summary == summary


@pytest.mark.parametrize("label", ["env", "environment", "deployment_environment", "deployment_environment_name"])
def test_the_environment_is_read_from_its_usual_labels(label: str) -> None:
    assert one(notification(alert({label: "staging"}))).environment == "staging"


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "//prometheus/graph", "http://a b", "http://a|b>", "", 7, None, "https://a/" + "x" * 2_000],
)
def test_only_an_address_that_can_stand_behind_a_button_is_kept(address: Any) -> None:
    found = one(notification(alert(generatorURL=address, annotations={"runbook_url": address})))

    assert (found.link, found.runbook) == ("", "")


class TestRepeats:
    """The key: Alertmanager numbers nothing, so what a notification says has to do."""

    def test_a_retry_has_the_same_key_whenever_it_comes(self) -> None:
        assert parse(notification(), RECEIVED_AT).key == parse(notification(), RECEIVED_AT + 60).key

    def test_a_retry_has_the_same_key_where_times_are_missing_too(self) -> None:
        body = notification(alert(startsAt=None, endsAt=None, status="resolved"))

        assert parse(body, RECEIVED_AT).key == parse(body, RECEIVED_AT + 60).key

    def test_the_twin_that_lists_the_alerts_in_another_order_has_the_same_key(self) -> None:
        first, second = alert(fingerprint="a"), alert(fingerprint="b")

        assert parse(notification(first, second)).key == parse(notification(second, first)).key

    def test_a_lapse_pushed_back_while_an_alert_fires_changes_nothing(self) -> None:
        later = notification(alert(endsAt="2026-10-31T03:00:00Z"), notification_reason="repeat interval elapsed")

        assert parse(later).key == parse(notification()).key

    @pytest.mark.parametrize(
        "changed",
        [
            notification(alert(status="resolved")),
            notification(alert(startsAt="2026-10-31T02:52:00Z")),
            notification(alert(fingerprint="other")),
            notification(alert(), alert(fingerprint="other")),
            notification(groupKey="{}:{}"),
            notification(receiver="other"),
        ],
        ids=["resolved", "fires anew", "another alert", "one alert more", "another group", "another receiver"],
    )
    def test_news_have_another_key(self, changed: bytes) -> None:
        assert parse(changed).key != parse(notification()).key

    def test_two_ends_of_one_alert_have_two_keys(self) -> None:
        first, second = (notification(alert(status="resolved", endsAt=f"2026-10-31T03:1{n}:00Z")) for n in (1, 2))

        assert parse(first).key != parse(second).key

    def test_an_alert_without_fingerprint_is_known_by_its_labels(self) -> None:
        def known(**labels: str) -> str:
            return one(notification(alert(labels, fingerprint=None))).fingerprint

        assert known(service="payments", zone="a") == known(zone="a", service="payments")
        assert known(service="payments") != known(service="checkout")

    def test_two_long_group_keys_that_differ_at_the_end_stay_two(self) -> None:
        first, second = (one(notification(groupKey="{}:" + "x" * 9_000 + end)).group_key for end in "ab")

        assert first != second
        assert len(first) == len(second) == 2_000


class TestFindingTheService:
    """Labels that may name it, surest first."""

    def test_a_rules_own_service_label_comes_first(self) -> None:
        assert hint_names(job="shop-services", pod="payments-7d9f8b6c5d-x2x9z", service="payments") == [
            "payments", "payments", "shop-services",
        ]  # fmt: skip

    def test_names_come_in_the_order_of_trust(self) -> None:
        labels = {
            "job": "h", "container": "g", "pod": "f-7d9f8b6c5d-x2x9z", "deployment": "e", "app_kubernetes_io_name": "d",
            "app_kubernetes_io_instance": "c", "app": "b", "service_name": "a2", "service": "a1",
        }  # fmt: skip

        assert hint_names(**labels) == ["a1", "a2", "b", "c", "d", "e", "f", "g", "h"]

    def test_the_namespace_goes_with_each_name(self) -> None:
        assert hints(service="payments", pod="payments-0", namespace="shop") == [
            ("payments", "shop"),
            ("payments", "shop"),
        ]

    def test_an_open_telemetry_namespace_is_the_services_own(self) -> None:
        assert hints(service_name="payments", service_namespace="money", namespace="otel") == [("payments", "money")]

    @pytest.mark.parametrize(
        ("job", "hint"),
        [
            ("payments", ("payments", "")),
            ("money/payments", ("payments", "money")),
            ("podMonitor/money/payments", ("payments", "money")),
            ("money/", None),
        ],
    )
    def test_a_job_made_by_open_telemetry_is_namespace_and_name(self, job: str, hint: tuple[str, str] | None) -> None:
        assert hints(job=job) == ([hint] if hint else [])

    def test_kube_state_metrics_names_the_workload_and_never_itself(self) -> None:
        assert hints(
            job="kube-state-metrics",
            service="monitoring-kube-state-metrics",
            app_kubernetes_io_name="monitoring",
            app_kubernetes_io_instance="monitoring",
            k8s_app="kube-state-metrics",
            instance="10.1.2.3:8080",
            namespace="shop",
            deployment="payments",
        ) == [("payments", "shop")]

    def test_kube_state_metrics_is_known_by_its_instance_where_the_job_says_nothing(self) -> None:
        labels = {
            "job": "k8s",
            "instance": "x-kube-state-metrics.monitoring.svc:8080",
            "app": "x",
            "statefulset": "payments-db",
        }

        assert hint_names(**labels) == ["payments-db"]

    def test_labels_a_scrape_renamed_win_over_the_exporters_own_pod(self) -> None:
        assert hints(
            job="kube-state-metrics",
            namespace="monitoring",
            pod="kube-state-metrics-7d9f8b6c5d-x2x9z",
            container="kube-state-metrics",
            exported_namespace="shop",
            exported_pod="payments-7d9f8b6c5d-x2x9z",
            exported_container="server",
        ) == [("payments", "shop"), ("server", "shop")]

    @pytest.mark.parametrize(
        "job",
        [
            "node-exporter",
            "kps-prometheus-node-exporter",
            "kubelet",
            "kubernetes-nodes-cadvisor",
            "pushgateway",
            "prometheus",
        ],
    )
    def test_the_clusters_own_watchers_are_never_the_failing_service(self, job: str) -> None:
        assert hint_names(job=job, service=job, pod="payments-db-0", exported_job="backup") == ["backup", "payments-db"]
        assert hint_names(job=job, service=job) == []

    def test_a_blackbox_probe_names_what_it_asked_for(self) -> None:
        found = hints(
            job="blackbox", instance="https://payments.shop.svc.cluster.local:8443/health", namespace="monitoring"
        )

        assert found[0] == ("payments", "shop")

    def test_a_probe_of_a_site_beside_a_label_of_its_owner_names_both(self) -> None:
        found = hint_names(job="blackbox-http", instance="https://shop.example/cart", service="cart")

        assert found[:2] == ["shop.example", "cart"]

    @pytest.mark.parametrize("address", ["https://[nonsense/", "http://", "https://10.0.0.7/", "not an address"])
    def test_a_probed_address_that_names_nobody_is_passed_over(self, address: str) -> None:
        assert hint_names(job="blackbox", target=address, service="cart") == ["cart", "blackbox"]

    def test_a_service_whose_name_looks_like_an_exporters_is_still_named(self) -> None:
        assert hint_names(job="csv-exporter", pod="csv-exporter-7d9f8b6c5d-x2x9z") == ["csv-exporter", "csv-exporter"]

    def test_what_an_ingress_reports_on_is_named_after_the_ingress(self) -> None:
        assert hint_names(job="ingress-nginx", exported_service="payments") == ["payments", "ingress-nginx"]

    def test_an_alert_without_a_telling_label_has_no_hints(self) -> None:
        assert hint_names(severity="critical", instance="10.0.0.1:9090") == []

    def test_every_hint_says_which_label_it_came_from(self) -> None:
        found = one(
            notification(alert({"job": "kube-state-metrics", "exported_pod": "payments-0", "cronjob": "backup"}))
        )

        assert [hint.origin for hint in found.service_hints] == ["label cronjob", "label exported_pod"]


class TestRefusals:
    """A sender learns which field is wrong; the same bytes would not do any better later."""

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b'{"alerts": NaN}', "not JSON"),
            (b"\xff\xfe\x00", "not JSON"),
            (b"[" * 200_000, "not JSON"),
            (b'{"a":' * 200_000, "not JSON"),
            (b"9" * 5_000, "not JSON"),
            (b"[]", "the body"),
            (b"null", "the body"),
            (b'"payload"', "the body"),
            (b"{}", "`alerts`"),
            (b'{"text": "a custom payload"}', "payload"),
            (notification(alerts=None), "`alerts`"),
            (notification(alerts={}), "`alerts`"),
            (notification(groupKey=None), "`groupKey`"),
            (notification(groupKey=""), "`groupKey`"),
            (notification(groupKey=["a"]), "`groupKey`"),
            (notification(alerts=[None]), "alerts[0]"),
            (notification(alert(), alert(labels=None) | {"labels": "x"}), "alerts[1].labels"),
            (notification({"status": "firing"}), "alerts[0].labels"),
            (notification(alert(status="alerting")), "alerts[0].status"),
            (notification(alert(status=None)), "alerts[0].status"),
            (notification(alert(status={"firing": 1})), "alerts[0].status"),
            (notification(alert(startsAt="yesterday")), "alerts[0].startsAt"),
            (notification(alert(startsAt=1_793_415_060)), "alerts[0].startsAt"),
            (notification(alert(startsAt="9999-12-31T23:59:59-12:00")), "alerts[0].startsAt"),
            (notification(alert(startsAt="1066-10-14T09:00:00Z")), "alerts[0].startsAt"),
            (notification(alert(status="resolved", endsAt="soon")), "alerts[0].endsAt"),
        ],
    )
    def test_what_is_missing_or_wrong_is_named(self, body: bytes, told: str) -> None:
        with pytest.raises(BadRequest) as refused:
            parse(body)

        assert told in str(refused.value)
        assert len(str(refused.value)) < 500

    def test_the_end_of_an_alert_that_still_fires_is_not_looked_at(self) -> None:
        assert one(notification(alert(endsAt=["soon"]))).status is AlertStatus.FIRING


class TestSizes:
    """Whatever is sent, what is kept is bounded, and what is left out is counted."""

    def test_alerts_over_the_limit_are_counted_with_those_the_sender_cut_off(self) -> None:
        many = [alert(fingerprint=f"f{number}") for number in range(MAX_ALERTS + 3)]
        delivery = parse(notification(*many, truncatedAlerts=7))

        assert len(delivery.alerts) == MAX_ALERTS
        assert delivery.ignored == "10 alerts were left out of the notification"

    @pytest.mark.parametrize("count", [-1, True, "9", None, 1.5, []])
    def test_a_count_of_cut_off_alerts_that_is_none_is_left_alone(self, count: Any) -> None:
        assert parse(notification(truncatedAlerts=count)).ignored == ""

    def test_long_texts_and_many_labels_are_cut(self) -> None:
        labels = {f"label{number}": "v" * 10_000 for number in range(1_000)}
        found = one(notification(alert(labels, annotations={"summary": "s" * 100_000}, fingerprint="f" * 10_000)))

        assert len(found.labels) == 200
        assert {len(value) for name, value in found.labels.items() if name != "alertname"} == {2_000}
        assert (len(found.summary), len(found.fingerprint)) == (2_000, 128)

    def test_control_characters_and_half_a_surrogate_pair_do_not_get_in(self) -> None:
        body = notification(
            alert({"service": "pay\u202ements\x00\ud83d"}, annotations={"summary": "line\r\n\x1b[31mtwo"})
        )
        found = one(body)

        assert found.service_hints[0].name == "payments"
        assert found.summary == "line  [31mtwo"

    def test_numbers_where_texts_belong_are_read_as_written(self) -> None:
        assert one(notification(alert() | {"labels": {"service": 7, "alertname": 1.5}})).title == "1.5"


@given(st.data())
def test_a_wrong_type_anywhere_is_a_refusal_or_alerts_and_never_a_crash(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(NOTIFICATION)))
    delivery, refusal = outcome(json.dumps(replaced(NOTIFICATION, path, data.draw(ANY_JSON))).encode())

    assert refusal.isprintable()
    for found in delivery.alerts:
        assert found.title
        assert found.fingerprint
        assert 0 <= found.starts_at < 2**33
        assert all(hint.name and hint.origin for hint in found.service_hints)
    for text in texts_of([dataclasses.asdict(found) for found in delivery.alerts]):
        assert len(text) <= 2_000
        assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Cf")]


@given(st.binary(max_size=200))
def test_no_bytes_break_the_door(body: bytes) -> None:
    _, refusal = outcome(body)

    assert refusal


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the collection of vendors' samples is not beside this repository")
@pytest.mark.parametrize("name", ["pagertree_create.json", "pagertree_resolve.json"])
def test_a_sample_from_the_field_names_the_container_and_not_kube_state_metrics(name: str) -> None:
    found = one((SAMPLES / name).read_bytes())

    assert "testapp-api-worker" in [hint.name for hint in found.service_hints]
    assert {hint.namespace for hint in found.service_hints} == {"testapp-test"}
    assert not {"kube-state-metrics", "testapp"} & {hint.name for hint in found.service_hints}
