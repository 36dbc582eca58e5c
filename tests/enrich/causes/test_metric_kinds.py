"""What metrics' names say, in whatever spelling."""

from __future__ import annotations

import pytest

from bot.enrich.causes.metric_kinds import TABLE, Family, MetricKind, MetricTable, parse_rule, spelled


@pytest.mark.parametrize(
    ("name", "family", "sign"),
    [
        ("http_server_duration_p99_ms", Family.LATENCY, 1),
        ("latency_avg", Family.LATENCY, 1),
        ("http.server.request.duration", Family.LATENCY, 1),
        ("srcP95", Family.LATENCY, 1),
        ("availability", Family.ERRORS, -1),
        ("slo_success_pct", Family.ERRORS, -1),
        ("http_5xx_ratio", Family.ERRORS, 1),
        ("grpc_client_handled_error_total", Family.ERRORS, 1),
        ("container_restarts_total", Family.RESOURCE, 0),
        ("cpuUsage", Family.RESOURCE, 0),
        ("db_pool_wait_seconds_p99", Family.RESOURCE, 1),
        ("kafka_consumer_lag", Family.RESOURCE, 1),
        ("requests_per_sec", Family.TRAFFIC, 0),
        ("net_rx", Family.NETWORK, 0),
        ("cache_hit_ratio", Family.OTHER, -1),
        ("zorkmid", Family.OTHER, 0),
        ("", Family.OTHER, 0),
    ],
)
def test_a_name_says_what_is_measured(name: str, family: Family, sign: int) -> None:
    kind = TABLE.kind(name)
    assert (kind.family, kind.sign) == (family, sign)


@pytest.mark.parametrize(
    "name", ["client_latency_p95", "rpc_client_error_rate", "upstream_call_error_ratio", "src_qps"]
)
def test_what_a_client_measured_speaks_of_those_it_calls(name: str) -> None:
    assert TABLE.kind(name).outbound
    assert not TABLE.kind(
        name.replace("client", "server").replace("upstream", "inbound").replace("src", "dst")
    ).outbound


def test_a_status_that_blames_the_client_says_so() -> None:
    assert TABLE.kind("http_401_unauthorized_ratio").by_caller
    assert not TABLE.kind("http_5xx_ratio").by_caller


def test_own_rules_come_first() -> None:
    table = MetricTable([(r"zorkmid", MetricKind(Family.TRAFFIC, -1)), (r"latency", MetricKind(Family.OTHER))])
    assert table.kind("zorkmid").family is Family.TRAFFIC
    assert table.kind("latency_avg").family is Family.OTHER
    assert table.kind("http_duration").family is Family.LATENCY


def test_spellings_are_one() -> None:
    assert spelled("http.server.requestDuration") == spelled("http-server_request_duration")
    assert spelled("HTTPErrors") == "http_errors"


# -- rules of the user's own -------------------------------------------------------------------------------------------


def test_a_users_rule_comes_before_the_bots_own() -> None:
    table = MetricTable([parse_rule("^checkout_lag$ = latency"), parse_rule("a=b$=traffic")])

    assert TABLE.kind("checkoutLag").family is Family.RESOURCE
    assert table.kind("checkoutLag").family is Family.LATENCY
    assert table.kind("checkout_lag_2").family is Family.RESOURCE
    assert table.kind("a=b").family is Family.TRAFFIC


@pytest.mark.parametrize("text", ["latency", "=latency", "lag=", "lag=slow", "(=latency", " =latency"])
def test_a_rule_that_cannot_be_read_says_what_is_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"want PATTERN=KIND|no regular expression"):
        parse_rule(text)
