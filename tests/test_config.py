"""Settings: from wherever they may come, in order of strength, loud where they are wrong, and never showing a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bot.catalog.links import LinkTemplate
from bot.config import ENVIRONMENT_NAMES, Settings, is_loopback, load, strays
from bot.enrich.causes.metric_kinds import KINDS
from bot.errors import ConfigError
from bot.incidents.quiet import parse_quiet_hours
from bot.incidents.routing import parse_route
from bot.setting_types import ApiToken

SECRET = "hunter2-do-not-show"

# For every setting: how it is written in the environment and in TOML, and what it then is.
WRITTEN: dict[str, tuple[str, str, Any]] = {
    "listen": ("0.0.0.0:9000", '"0.0.0.0:9000"', "0.0.0.0:9000"),
    "database_url": ("postgresql://u:p@db/bot", '"postgresql://u:p@db/bot"', SecretStr("postgresql://u:p@db/bot")),
    "channel": ("C0123", '"C0123"', "C0123"),
    "catalog": (
        "/etc/services.yaml, /srv/teams,",
        '["/etc/services.yaml", "/srv/teams"]',
        (Path("/etc/services.yaml"), Path("/srv/teams")),
    ),
    "rethink_seconds": ("60", "60", 60.0),
    "correlate_seconds": ("0", "0", 0.0),
    "routes": (
        "owner=pay -> #pay; tier=1 severity=critical -> owner",
        '["owner=pay -> #pay", "tier=1 severity=critical -> owner"]',
        (parse_route("owner=pay -> #pay"), parse_route("tier=1 severity=critical -> owner")),
    ),
    "mentions": (
        "severity=critical; tier=1 team=pay*",
        '["severity=critical", "tier=1 team=pay*"]',
        ((("severity", "critical"),), (("tier", "1"), ("owner", "pay*"))),
    ),
    "quiet_hours": (
        "team=Payments 22:00-07:00 Europe/Berlin; * sat,sun UTC",
        '["team=Payments 22:00-07:00 Europe/Berlin", "* sat,sun UTC"]',
        (parse_quiet_hours("owner=payments 22:00-07:00 Europe/Berlin"), parse_quiet_hours("* sat,sun UTC")),
    ),
    "courtesy": ("true", "true", True),
    "courtesy_channels": ("5", "5", 5),
    "courtesy_tier": ("1", "1", 1),
    "courtesy_share": ("0.8", "0.8", 0.8),
    "metric_kinds": (
        "basket_value=traffic, ^lag$=latency",
        '["basket_value=traffic", "^lag$=latency"]',
        (("basket_value", KINDS["traffic"]), ("^lag$", KINDS["latency"])),
    ),
    "catalog_refresh_seconds": ("60", "60", 60.0),
    "backstage_url": ("https://backstage.test", '"https://backstage.test"', SecretStr("https://backstage.test")),
    "backstage_token": ("t", '"t"', SecretStr("t")),
    "pagerduty_from": ("bot@example.org", '"bot@example.org"', "bot@example.org"),
    "pagerduty_fields": (
        "cause=likely_cause, hit=hit_now",
        '["cause=likely_cause", "hit=hit_now"]',
        (("cause", "likely_cause"), ("hit", "hit_now")),
    ),
    "pagerduty_dependencies": ("true", "true", True),
    "pagerduty_dependencies_confidence": ("0.9", "0.9", 0.9),
    "pagerduty_dependencies_remove": ("true", "true", True),
    "alertmanager_url": ("http://am.test:9093", '"http://am.test:9093"', SecretStr("http://am.test:9093")),
    "alertmanager_api_token": ("t", '"t"', SecretStr("t")),
    "pagerduty_api_token": ("t", '"t"', SecretStr("t")),
    "pagerduty_api_url": ("http://pd.test", '"http://pd.test"', SecretStr("http://pd.test")),
    "links": (
        "logs=https://l.test/?q={service},a, my traces = https://t.test/{from}",
        '["logs=https://l.test/?q={service},a", "my traces=https://t.test/{from}"]',
        (LinkTemplate("logs", "https://l.test/?q={service},a"), LinkTemplate("my traces", "https://t.test/{from}")),
    ),
    "slack_bot_token": ("xoxb-1", '"xoxb-1"', SecretStr("xoxb-1")),
    "slack_signing_secret": ("abc", '"abc"', SecretStr("abc")),
    "slack_app_token": ("xapp-1", '"xapp-1"', SecretStr("xapp-1")),
    "slack_api_url": ("http://slack.test/", '"http://slack.test/"', "http://slack.test/"),
    "slack_burst": ("7", "7", 7),
    "public_url": ("https://t.example/map/", '"https://t.example/map/"', "https://t.example/map"),
    "digest_time": ("07:30", '"07:30"', "07:30"),
    "digest_quiet": ("false", "false", False),
    "alertmanager_tokens": ("a, b,", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "pagerduty_secrets": ("a,b", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "github_secrets": ("a,b", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "gitlab_secrets": ("a,b", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "argocd_secrets": ("a,b", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "flux_secrets": ("a,b", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "pagerduty_change_secrets": ("a,b", '["a", "b"]', (SecretStr("a"), SecretStr("b"))),
    "api_tokens": (
        "ci:read+ingest:t:1, me:admin:t2",
        '["ci:read+ingest:t:1", "me:admin:t2"]',
        (
            ApiToken("ci", frozenset(("read", "ingest")), SecretStr("t:1")),
            ApiToken("me", frozenset(("admin",)), SecretStr("t2")),
        ),
    ),
    "api_rate": ("5", "5", 5.0),
    "api_burst": ("9", "9", 9),
    "allow_unsigned": (
        "alertmanager, changes/github",
        '["alertmanager", "changes/github"]',
        ("alertmanager", "changes/github"),
    ),
    "trace_settle_seconds": ("0.5", "0.5", 0.5),
    "trace_lifetime_seconds": ("30", "30", 30.0),
    "trace_max_spans": ("5000", "5000", 5_000),
    "span_max_age_seconds": ("3600", "3600", 3_600.0),
    "prometheus_url": ("http://prom:9090", '"http://prom:9090"', SecretStr("http://prom:9090")),
    "prometheus_token": ("t", '"t"', SecretStr("t")),
    "prometheus_tenant": ("shop", '"shop"', "shop"),
    "kubernetes": ("in-cluster", '"in-cluster"', "in-cluster"),
    "kubernetes_context": ("blue", '"blue"', "blue"),
    "kubernetes_environment": ("prod", '"prod"', "prod"),
    "flow_max_age_seconds": ("600", "600", 600.0),
    "flow_environment": ("prod", '"prod"', "prod"),
    "vpc_fields": ("srcaddr, dstaddr", '["srcaddr", "dstaddr"]', ("srcaddr", "dstaddr")),
    "visible_intermediaries": ("api-gateway*, edge", '["api-gateway*", "edge"]', ("api-gateway*", "edge")),
    "hidden_services": ("prometheus*", '["prometheus*"]', ("prometheus*",)),
    "max_services": ("500", "500", 500),
    "max_edges": ("5000", "5000", 5_000),
    "window_retention_seconds": ("7200", "7200", 7_200.0),
    "hour_retention_seconds": ("90000", "90000", 90_000.0),
    "day_retention_seconds": ("90000", "90000", 90_000.0),
    "change_retention_seconds": ("86400", "86400", 86_400.0),
    "edge_retention_seconds": ("86400", "86400", 86_400.0),
    "picture_layouts": ("2", "2", 2),
    "picture_seconds": ("5", "5", 5.0),
    "thread_pictures": ("false", "false", False),
    "log_format": ("json", '"json"', "json"),
    "log_level": ("debug", '"debug"', "debug"),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a settings file of anybody's."""
    monkeypatch.chdir(tmp_path)


def test_no_setting_is_left_out_here() -> None:
    assert WRITTEN.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("field", WRITTEN)
def test_every_setting_can_come_from_a_variable(field: str) -> None:
    text, _, value = WRITTEN[field]

    assert getattr(load({f"TOPOLOGY_BOT_{field.upper()}": text}), field) == value


@pytest.mark.parametrize("field", WRITTEN)
def test_every_setting_can_come_from_a_secret_file(field: str, tmp_path: Path) -> None:
    text, _, value = WRITTEN[field]
    (tmp_path / "secret").write_text(f"{text}\n")

    assert getattr(load({f"TOPOLOGY_BOT_{field.upper()}_FILE": str(tmp_path / "secret")}), field) == value


@pytest.mark.parametrize("field", WRITTEN)
def test_every_setting_can_come_from_the_settings_file(field: str, tmp_path: Path) -> None:
    _, toml, value = WRITTEN[field]
    (tmp_path / "bot.toml").write_text(f"{field} = {toml}\n")

    assert getattr(load({"TOPOLOGY_BOT_CONFIG": str(tmp_path / "bot.toml")}), field) == value


@pytest.mark.parametrize("field", WRITTEN)
def test_every_setting_has_a_default_that_stands_when_nothing_is_said(field: str) -> None:
    assert getattr(load({}), field) == Settings.model_fields[field].default


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("DATABASE_URL", "database_url"),
        ("SLACK_BOT_TOKEN", "slack_bot_token"),
        ("SLACK_SIGNING_SECRET", "slack_signing_secret"),
        ("SLACK_APP_TOKEN", "slack_app_token"),
        ("SLACK_API_URL", "slack_api_url"),
        ("TOPOLOGY_BOT_ALERTMANAGER_SECRETS", "alertmanager_tokens"),
        ("PAGERDUTY_WEBHOOK_SECRETS", "pagerduty_secrets"),
        ("PAGERDUTY_API_TOKEN", "pagerduty_api_token"),
        ("PAGERDUTY_API_URL", "pagerduty_api_url"),
    ],
)
def test_names_people_already_have_are_read_too_but_ours_is_stronger(variable: str, field: str, tmp_path: Path) -> None:
    text, _, value = WRITTEN[field]
    (tmp_path / "secret").write_text(text)

    assert getattr(load({variable: text}), field) == value
    assert getattr(load({f"{variable}_FILE": str(tmp_path / "secret")}), field) == value
    other = {variable: "https://elsewhere.test/sqlite:x"}
    assert getattr(load({f"TOPOLOGY_BOT_{field.upper()}": text} | other), field) == value


def test_a_variable_is_stronger_than_its_file_and_both_than_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "topology-bot.toml").write_text('channel = "toml"\n')
    (tmp_path / "secret").write_text("file")
    variable, file = {"TOPOLOGY_BOT_CHANNEL": "env"}, {"TOPOLOGY_BOT_CHANNEL_FILE": str(tmp_path / "secret")}

    assert [load(environ).channel for environ in ({}, file, variable | file)] == ["toml", "file", "env"]
    assert load(variable | file, channel="argument").channel == "argument"


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_variable_is_no_setting(empty: str) -> None:
    assert load({"TOPOLOGY_BOT_CHANNEL": empty}).channel == "#incidents"


def test_a_line_end_behind_a_secret_is_no_part_of_it() -> None:
    """`echo token | kubectl create secret` puts one there."""
    token = load({"SLACK_BOT_TOKEN": "xoxb-1\n"}).slack_bot_token

    assert token is not None
    assert token.get_secret_value() == "xoxb-1"


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("listen", "8080"), ("listen", ":8080"), ("listen", "localhost"), ("listen", "localhost:http"),
        ("listen", "localhost:65536"), ("listen", "localhost:-1"), ("listen", "localhost:²"), ("listen", "::1"),
        ("listen", "::1:8080"), ("listen", "[::1]"), ("listen", "[]:8080"),
        ("database_url", "mysql://db/bot"), ("database_url", "topology-bot.db"),
        ("slack_api_url", "slack.com/api"), ("slack_burst", "0"), ("slack_burst", "many"),
        ("allow_unsigned", "alertmanager,datadog"),
        ("api_tokens", "onlyasecret"), ("api_tokens", "ci:write:x"), ("api_tokens", "ci::x"), ("api_tokens", "ci:read:"),
        ("api_tokens", ":read:x"), ("api_tokens", "ci:read+:x"),
        ("trace_settle_seconds", "0"), ("trace_settle_seconds", "nan"), ("trace_lifetime_seconds", "1"),
        ("trace_max_spans", "1.5"), ("span_max_age_seconds", "inf"), ("max_services", "1"), ("max_edges", "-5"),
        ("window_retention_seconds", "60"), ("window_retention_seconds", "inf"), ("edge_retention_seconds", "nan"),
        ("backstage_url", "backstage.test"), ("backstage_url", "https://b.test/?a=b"), ("pagerduty_api_url", "ftp://p.test"),
        ("backstage_url", "https://[b"), ("catalog_refresh_seconds", "0"), ("rethink_seconds", "0"),
        ("routes", "#pay"), ("correlate_seconds", "-1"), ("routes", "color=red -> #pay"),
        ("metric_kinds", "lag=slow"), ("metric_kinds", "(=latency"),
        ("links", "https://l.test/{service}"), ("links", "logs=l.test"), ("links", "logs=https://l.test/{pod}"),
        ("links", "logs=https://l.test/{service"), ("links", "=https://l.test"),
        ("log_format", "xml"), ("log_level", "LOUD"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_and_the_setting_named(field: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({f"TOPOLOGY_BOT_{field.upper()}": wrong})
    assert field in str(raised.value).lower()


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load({"TOPOLOGY_BOT_SLACK_BURST": "0", "TOPOLOGY_BOT_LOG_LEVEL": "loud"})
    assert "TOPOLOGY_BOT_SLACK_BURST: " in str(raised.value)
    assert "TOPOLOGY_BOT_LOG_LEVEL: " in str(raised.value)


def test_a_setting_nobody_knows_is_refused_in_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "topology-bot.toml").write_text("max_sevices = 5\n")

    with pytest.raises(ConfigError, match="MAX_SEVICES"):
        load({})


def test_a_settings_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TOPOLOGY_BOT_CONFIG: cannot read .*nowhere\.toml: No such file"):
        load({"TOPOLOGY_BOT_CONFIG": str(tmp_path / "nowhere.toml")})


@pytest.mark.parametrize("content", [b"channel =", b"\xff\xfe", b"channel: incidents"])
def test_a_settings_file_that_is_no_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "topology-bot.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"topology-bot\.toml: not a TOML file"):
        load({})


def test_a_secret_file_must_be_a_readable_text(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"SLACK_BOT_TOKEN_FILE: cannot read .*: No such file"):
        load({"SLACK_BOT_TOKEN_FILE": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigError, match=r"SLACK_BOT_TOKEN_FILE: .* is not a text"):
        load({"SLACK_BOT_TOKEN_FILE": str(tmp_path / "binary")})


@pytest.mark.parametrize(
    "field", ["slack_bot_token", "slack_signing_secret", "alertmanager_tokens", "pagerduty_secrets"]
)
def test_an_empty_secret_is_refused_because_everybody_knows_it(field: str, tmp_path: Path) -> None:
    empty = '[""]' if field.endswith("s") else '""'
    (tmp_path / "topology-bot.toml").write_text(f"{field} = {empty}\n")

    with pytest.raises(ConfigError, match=f"TOPOLOGY_BOT_{field.upper()}"):
        load({})


def test_an_empty_secret_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")

    with pytest.raises(ConfigError, match="TOPOLOGY_BOT_SLACK_SIGNING_SECRET"):
        load({"SLACK_SIGNING_SECRET_FILE": str(tmp_path / "secret")})


# -- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        SECRET,  # the token alone
        f"{SECRET}:read",
        f"{SECRET}:ci:read",  # the parts the wrong way round
        f"ci:{SECRET}:read",
        f"ci:write:{SECRET}",
        f"good:read:x,{SECRET}",
    ],
)
def test_a_wrong_api_token_is_refused_by_its_place_and_not_shown(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"TOPOLOGY_BOT_API_TOKENS: token \d: want name:scope") as raised:
        load({"TOPOLOGY_BOT_API_TOKENS": wrong})
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("wrong", [SECRET, f"{SECRET}:x", f"mysql://u:{SECRET}@db/bot", f"u:{SECRET}@db"])
def test_a_wrong_database_address_is_not_shown(wrong: str) -> None:
    with pytest.raises(ConfigError, match="database_url") as raised:
        load({"DATABASE_URL": wrong})
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("field", [name for name, (_, _, value) in WRITTEN.items() if "Secret" in repr(value)])
def test_a_secret_of_a_wrong_type_is_not_shown(field: str, tmp_path: Path) -> None:
    (tmp_path / "topology-bot.toml").write_text(f'{field} = {{ value = "{SECRET}" }}\n')

    with pytest.raises(ConfigError, match=field.upper()) as raised:
        load({})
    assert SECRET not in str(raised.value)


def test_no_secret_shows_when_settings_are_printed() -> None:
    settings = load(
        {
            "DATABASE_URL": f"postgresql://bot:{SECRET}@db/bot",
            "SLACK_BOT_TOKEN": SECRET,
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_APP_TOKEN": SECRET,
            "TOPOLOGY_BOT_ALERTMANAGER_TOKENS": f"{SECRET},{SECRET}2",
            "TOPOLOGY_BOT_PAGERDUTY_SECRETS": SECRET,
            "TOPOLOGY_BOT_API_TOKENS": f"ci:read:{SECRET}",
        }
    )

    for shown in (repr(settings), str(settings), f"{settings.api_tokens}", settings.model_dump_json()):
        assert SECRET not in shown
    assert settings.alert_secrets("alertmanager") == (SECRET, f"{SECRET}2")
    assert settings.alert_secrets("pagerduty") == (SECRET,)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_that_sounds_secret_is_kept_as_one(field: str) -> None:
    info: FieldInfo = Settings.model_fields[field]

    if any(word in field for word in ("token", "secret", "url")) and field not in ("slack_api_url", "public_url"):
        assert "Secret" in str(info.annotation) or "ApiToken" in str(info.annotation)


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load({}).channel = "elsewhere"  # type: ignore[misc]


# -- where to listen -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("localhost:0", "localhost", 0),
        ("[::1]:8080", "::1", 8080),
        ("[::]:65535", "::", 65_535),
        ("bot.internal:80", "bot.internal", 80),
    ],
)
def test_a_host_and_a_port_are_told_apart_in_ipv6_too(listen: str, host: str, port: int) -> None:
    assert load({}, listen=listen).host_port == (host, port)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "bot.internal", "", "localhost.evil.example", "127.1"])
def test_anything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


# -- strays ----------------------------------------------------------------------------------------------------------


def test_a_mistyped_variable_is_noticed() -> None:
    environ = {"TOPOLOGY_BOT_CHANEL": "x", "TOPOLOGY_BOT_CHANNEL": "y", "TOPOLOGY_BOT_SLACK_TOKEN": "z"}

    assert strays(environ) == ("TOPOLOGY_BOT_CHANEL", "TOPOLOGY_BOT_SLACK_TOKEN")


def test_what_others_put_there_is_no_stray() -> None:
    ours = dict.fromkeys(ENVIRONMENT_NAMES, "x")
    others = {
        "TOPOLOGY_BOT_PORT": "tcp://10.0.0.1:8080",
        "TOPOLOGY_BOT_PORT_8080_TCP_ADDR": "10.0.0.1",
        "TOPOLOGY_BOT_SERVICE_HOST": "10.0.0.1",
        "TOPOLOGY_BOT_TESTS_REQUIRE_DEBIAN": "1",
        "PATH": "/bin",
    }

    assert strays(ours | others) == ()
    assert load(others) == load({})


def test_every_variable_of_every_setting_is_known_by_name() -> None:
    for field in Settings.model_fields:
        assert {f"TOPOLOGY_BOT_{field.upper()}", f"TOPOLOGY_BOT_{field.upper()}_FILE"} <= ENVIRONMENT_NAMES
    assert {"DATABASE_URL_FILE", "SLACK_BOT_TOKEN_FILE", "TOPOLOGY_BOT_URL", "TOPOLOGY_BOT_CONFIG"} <= ENVIRONMENT_NAMES


def test_without_being_told_the_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPOLOGY_BOT_CHANNEL", "from-outside")
    monkeypatch.setenv("TOPOLOGY_BOT_CHANEL", "x")

    assert load().channel == "from-outside"
    assert "TOPOLOGY_BOT_CHANEL" in strays()
