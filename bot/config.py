"""Settings: one TOML file, environment variables, secret files. Read once, frozen, failing loudly.

Order of strength: environment variable, `<NAME>_FILE` (the file's content), TOML file, default. The TOML file is
`TOPOLOGY_BOT_CONFIG`, or `topology-bot.toml` in the working directory if there is one; its keys are the field names
below. Values of secret settings never appear in an error or in `repr`.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, SecretStr, ValidationError, model_validator

from bot.catalog.fetch import require_web_address
from bot.catalog.setting_types import LinkTemplates, Paths
from bot.digest.setting_type import DigestSettings
from bot.enrich.causes.setting_type import MetricRules
from bot.errors import ConfigError
from bot.incidents.setting_type import EtiquetteSettings, Routes
from bot.names import BACKGROUND
from bot.pagerduty.setting_types import PagerSettings
from bot.picture.setting_type import PictureSettings
from bot.setting_types import ApiTokens, Names, Secret, Secrets
from bot.slack.setting_type import SlackSettings
from bot.telemetry.flow_records import VPC_DEFAULT_FIELDS

ALERT_SOURCES = ("alertmanager", "pagerduty")
CHANGE_SOURCES = ("argocd", "flux", "github", "gitlab", "pagerduty")
UNSIGNED = (*ALERT_SOURCES, *(f"changes/{source}" for source in CHANGE_SOURCES))
"""What may be let in unverified, as the doors' paths have it."""

# Names people already have in their environment, besides TOPOLOGY_BOT_<FIELD>.
_KNOWN_NAMES = {
    "database_url": ("DATABASE_URL",),
    "slack_bot_token": ("SLACK_BOT_TOKEN",),
    "slack_signing_secret": ("SLACK_SIGNING_SECRET",),
    "slack_app_token": ("SLACK_APP_TOKEN",),
    "slack_api_url": ("SLACK_API_URL",),
    "alertmanager_tokens": ("TOPOLOGY_BOT_ALERTMANAGER_SECRETS",),
    "pagerduty_secrets": ("PAGERDUTY_WEBHOOK_SECRETS",),
    "pagerduty_api_token": ("PAGERDUTY_API_TOKEN",),
    "pagerduty_api_url": ("PAGERDUTY_API_URL",),
    "pagerduty_from": ("PAGERDUTY_FROM",),
}
_CONFIG_VARIABLE = "TOPOLOGY_BOT_CONFIG"
_CLIENT_VARIABLES = ("TOPOLOGY_BOT_URL", "TOPOLOGY_BOT_TOKEN")


class Settings(SlackSettings, PagerSettings, DigestSettings, PictureSettings, EtiquetteSettings):
    """Every setting. The field's description is the text of its row in the README's table."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True,
                              allow_inf_nan=False)  # fmt: skip

    listen: str = Field("127.0.0.1:8080", description="`host:port` to listen on")
    database_url: SecretStr = Field(
        SecretStr("sqlite:///topology-bot.db"), description="`sqlite:///PATH` or `postgresql://…`; also `DATABASE_URL`"
    )
    channel: str = Field("#incidents", description="Slack channel (id or name) for what no route claims")
    routes: Routes = Field(
        (),
        description="`CONDITION… -> CHANNEL`, separated by `;`: which incidents go to which channel, the first that fits",
    )
    correlate_seconds: float = Field(
        1_800.0,
        ge=0,
        description="how long after its latest alert an open incident takes in others that the map explains; 0: never",
    )
    catalog: Paths = Field(
        (), description="comma-separated catalogue files (owners, tiers, aliases), or directories to search for them"
    )
    rethink_seconds: float = Field(30.0, ge=1, description="how often an open incident is thought about again")
    catalog_refresh_seconds: float = Field(600.0, ge=1, description="how often the catalogue is read again")
    backstage_url: Secret | None = Field(
        None, description="a Backstage backend (what comes before `/api/catalog`) to read its catalogue from"
    )
    backstage_token: Secret | None = Field(None, description="bearer token for it")
    links: LinkTemplates = Field(
        (),
        description="comma-separated `name=address` of every service's logs, traces or metrics; `{service}`, `{from}` … are filled in",
    )

    metric_kinds: MetricRules = Field(
        (),
        description="comma-separated `PATTERN=KIND`: what metrics of these names measure, before the bot's own rules",
    )

    alertmanager_tokens: Secrets = Field(
        (), description="comma-separated bearer tokens or basic-auth passwords; none: refuses all"
    )
    pagerduty_secrets: Secrets = Field(
        (), description="comma-separated webhook signing secrets; none: refuses all; also `PAGERDUTY_WEBHOOK_SECRETS`"
    )
    github_secrets: Secrets = Field(
        (), description="comma-separated webhook secrets for changes from GitHub; none: refuses all"
    )
    gitlab_secrets: Secrets = Field(
        (), description="comma-separated secret or signing tokens for changes from GitLab; none: refuses all"
    )
    argocd_secrets: Secrets = Field(
        (),
        description="comma-separated bearer tokens or basic-auth passwords for Argo CD's notifications; none: refuses all",
    )
    flux_secrets: Secrets = Field(
        (), description="comma-separated HMAC keys or bearer tokens for Flux's notifications; none: refuses all"
    )
    pagerduty_change_secrets: Secrets = Field(
        (), description="comma-separated routing keys or bearer tokens for PagerDuty's change events; none: refuses all"
    )
    api_tokens: ApiTokens = Field(
        (),
        description="comma-separated `name:scope+scope:token` (scopes read, ingest, admin); none: open on loopback, refused elsewhere",
    )
    api_rate: float = Field(50.0, gt=0, description="questions a second that one token (or address) may ask the API")
    api_burst: int = Field(200, ge=1, description="how many of them at once")
    allow_unsigned: Names = Field(
        (),
        description="sources of alerts (`pagerduty`) and changes (`changes/github`) accepted unverified, from loopback only",
    )

    trace_settle_seconds: float = Field(2.0, gt=0, le=60, description="a trace this long without a new span is linked")
    trace_lifetime_seconds: float = Field(
        60.0, ge=5, le=3600, description="how long a linked trace still takes late spans"
    )
    trace_max_spans: int = Field(400_000, ge=1_000, description="most spans held open for pairing")
    span_max_age_seconds: float = Field(86_400.0, gt=0, description="spans older than this are dropped and counted")
    prometheus_url: Secret | None = Field(
        None,
        description="a Prometheus-compatible query API (what comes before `/api/v1`) to read call counts from once a minute",
    )
    prometheus_token: Secret | None = Field(None, description="bearer token for it")
    prometheus_tenant: str = Field("", description="`X-Scope-OrgID` for it (Mimir, Cortex)")
    kubernetes: str = Field(
        "",
        description="`in-cluster`, or the path of a kubeconfig: learn who owns which address, and what is rolled out, from that cluster",
    )
    kubernetes_context: str = Field("", description="the kubeconfig's context; none: its current one")
    kubernetes_environment: str = Field("", description="environment that the cluster's services carry in their ids")
    flow_max_age_seconds: float = Field(
        86_400.0, gt=0, description="flow records that started longer ago are refused and counted"
    )
    flow_environment: str = Field(
        "", description="environment that the workloads named in flow records carry in their ids"
    )
    vpc_fields: Names = Field(
        VPC_DEFAULT_FIELDS,
        description="comma-separated fields of AWS VPC flow logs, in the order they were configured; default: version 2's",
    )
    visible_intermediaries: Names = Field(
        (),
        description="comma-separated patterns (`api-gateway*`) of load balancers, proxies and gateways kept on the map as nodes",
    )
    hidden_services: Names = Field(
        BACKGROUND,
        description="comma-separated patterns of services hidden unless asked for; default: scrapers, DNS, mesh control planes",
    )
    max_services: int = Field(100_000, ge=10, description="most services on the live map")
    max_edges: int = Field(1_000_000, ge=10, description="most edges on the live map")
    window_retention_seconds: float = Field(
        86_400.0, ge=7_200, description="how long minute windows are kept in the database"
    )
    hour_retention_seconds: float = Field(
        30 * 86_400.0, ge=86_400.0, description="how long the sums of hours are kept in the database"
    )
    day_retention_seconds: float = Field(
        365 * 86_400.0, ge=86_400.0, description="how long the sums of days are kept in the database"
    )
    change_retention_seconds: float = Field(
        90 * 86_400.0, ge=86_400.0, description="how long change events are kept in the database"
    )
    edge_retention_seconds: float = Field(
        30 * 86_400.0, ge=7_200, description="an edge unseen for this long leaves the map"
    )
    log_format: str = Field(
        "auto", pattern="^(auto|text|json)$", description="`text`, `json`, or `auto`: text on a terminal"
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="`debug`, `info`, `warning` or `error`"
    )

    @model_validator(mode="after")
    def _check(self) -> Settings:
        host, port = self.host_port
        if not host or not 0 <= port <= 65_535 or (":" in host and not self.listen.startswith("[")):
            raise ValueError(f"listen: want host:port or [IPv6]:port, not {self.listen!r}")
        scheme = self.database_url.get_secret_value().partition(":")[0].partition("+")[0]
        if scheme not in ("sqlite", "postgresql", "postgres"):
            raise ValueError("database_url: want sqlite:///PATH or postgresql://…")
        unknown = set(self.allow_unsigned) - set(UNSIGNED)
        if unknown:
            raise ValueError(
                f"allow_unsigned: no source called {', '.join(sorted(unknown))}; there are {', '.join(UNSIGNED)}"
            )
        for name in ("backstage_url", "pagerduty_api_url", "alertmanager_url"):
            if (url := getattr(self, name)) is not None:
                require_web_address(name, url.get_secret_value())
        return self

    @property
    def host_port(self) -> tuple[str, int]:
        """Where to listen. IPv6 hosts are written `[::1]:8080`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else -1

    def alert_secrets(self, source: str) -> tuple[str, ...]:
        """The secrets one alert source may use."""
        found: tuple[SecretStr, ...] = {"alertmanager": self.alertmanager_tokens, "pagerduty": self.pagerduty_secrets}[
            source
        ]
        return tuple(secret.get_secret_value() for secret in found)

    def change_secrets(self, source: str) -> tuple[str, ...]:
        """The secrets one source of changes may use."""
        found: dict[str, tuple[SecretStr, ...]] = {
            "argocd": self.argocd_secrets, "flux": self.flux_secrets, "github": self.github_secrets,
            "gitlab": self.gitlab_secrets, "pagerduty": self.pagerduty_change_secrets,
        }  # fmt: skip
        return tuple(secret.get_secret_value() for secret in found[source])


def _variables(field: str) -> tuple[str, ...]:
    return (f"TOPOLOGY_BOT_{field.upper()}", *_KNOWN_NAMES.get(field, ()))


ENVIRONMENT_NAMES: frozenset[str] = frozenset(
    {name + suffix for field in Settings.model_fields for name in _variables(field) for suffix in ("", "_FILE")}
    | {_CONFIG_VARIABLE, *_CLIENT_VARIABLES}
)
"""Every environment variable the program reads; `TOPOLOGY_BOT_URL` and `_TOKEN` are the command line's."""


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in Settings.model_fields:
        for name in _variables(field):
            if value := environ.get(name, "").strip():
                found[field] = value
                break
            if path := environ.get(name + "_FILE"):
                try:
                    found[field] = Path(path).read_text().strip()
                except OSError as error:
                    raise ConfigError(f"{name}_FILE: cannot read {path}: {error.strerror}") from None
                except UnicodeDecodeError:
                    raise ConfigError(f"{name}_FILE: {path} is not a text") from None
                break
    return found


def _from_file(environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get(_CONFIG_VARIABLE)
    path = Path(named or "topology-bot.toml")
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{_CONFIG_VARIABLE}: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read all settings once. Raises `ConfigError` naming each setting that is wrong and where it came from."""
    environ = os.environ if environ is None else environ
    values = {**_from_file(environ), **_from_environment(environ), **overrides}
    try:
        return Settings(**values)
    except ValidationError as error:
        texts = [
            f"{_variables(str(item['loc'][0]))[0] + ': ' if item['loc'] else ''}{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ConfigError("settings: " + "; ".join(texts)) from None


def change_sources(settings: Settings) -> tuple[str, ...]:
    """Sources that can tell of changes, as `settings` have it."""
    told = [
        one for one in CHANGE_SOURCES if settings.change_secrets(one) or f"changes/{one}" in settings.allow_unsigned
    ]
    return (*told, *(("kubernetes",) if settings.kubernetes else ()))


def strays(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Variables that look like settings and are none: worth a warning, since one may be a typing error.

    Never fatal: Kubernetes gives every pod `TOPOLOGY_BOT_PORT…` and `TOPOLOGY_BOT_SERVICE_…` for a Service of our name.
    """
    environ = os.environ if environ is None else environ
    made_by_kubernetes = ("TOPOLOGY_BOT_PORT", "TOPOLOGY_BOT_SERVICE_", "TOPOLOGY_BOT_TESTS_")
    return tuple(
        sorted(
            name
            for name in environ
            if name.startswith("TOPOLOGY_BOT_")
            and name not in ENVIRONMENT_NAMES
            and not name.startswith(made_by_kubernetes)
        )
    )


def is_loopback(host: str) -> bool:
    """Whether a host or address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
