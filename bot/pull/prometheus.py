"""Asks a Prometheus-compatible server (Prometheus, Thanos, Mimir, VictoriaMetrics) what its counters say of edges.

Comes in: the server's address, the families of metrics we can read, a minute. Goes out: one row for each family, set of labels
and minute that saw an increase. What is lost, and counted: values that are not numbers, answers over the caps, and what
`bot.pull.promql` says. Synchronous: meant for a worker thread, one at a time.

Source: prometheus.io/docs/prometheus/latest/querying/api. Nothing that could hold a secret (address with password,
headers, exception texts) is in any error or state.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.auth import AuthBase
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential_jitter

from bot.errors import ConfigError
from bot.layers.families import FAMILIES
from bot.layers.family import Family, Role
from bot.model import WINDOW_SECONDS
from bot.pull import promql
from bot.pull.answers import Data, Envelope, PullError, Series, decoded, envelope, number, shown

MAX_SERIES = 50_000
"""Rows taken from one answer; a family with more is refused whole, since half of it would be a wrong map."""
MAX_BYTES = 64 * 2**20
LOOKBACK_SECONDS = 600
DISCOVERY_SECONDS, EMPTY_DISCOVERY_SECONDS = 600.0, 60.0

_CONNECT_SECONDS = 3.05
_ATTEMPTS = 3


class Row(NamedTuple):
    """What a counter grew by in the minute that starts at `minute` (epoch s). `labels` are the family's, "" where missing."""

    family: Family
    labels: Mapping[str, str]
    minute: int
    increase: float


@dataclass(slots=True)
class Reading:
    """What a server says of one minute.

    A family's rows are here in whole or not at all. `again` names the metrics to ask for later: their family failed, or its
    answer was partial (then its rows are here all the same, and will be replaced); `refused` those for which asking again is
    no use, with why.
    """

    rows: list[Row] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


class _Credentials(AuthBase):
    """Sets the headers of a request. Being there at all, it also keeps requests from reading ~/.netrc."""

    def __init__(self, headers: Mapping[str, str], user: str | None, password: str | None) -> None:
        self._headers = headers
        self._basic = requests.auth.HTTPBasicAuth(user, password or "") if user is not None else None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._basic is not None:
            self._basic(request)
        request.headers.update(self._headers)
        return request


class PrometheusPull:
    """One server.

    `url` is what comes before `/api/v1`, credentials allowed; `headers` are sent with every request (`Authorization`,
    `X-Scope-OrgID`); `timeout` (s) bounds a whole request; `window_seconds` is the length of a window, a minute unless a test
    is in a hurry.
    """

    def __init__(
        self,
        url: str,
        families: Sequence[Family] = FAMILIES,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        window_seconds: int = WINDOW_SECONDS,
        session: requests.Session | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("the Prometheus address has to start with http:// or https:// and name a host")
        self.url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self.dropped: Counter[str] = Counter()
        self._auth = _Credentials(headers or {}, parts.username, parts.password)
        self._families = {metric: family for family in families for metric in family.metrics}
        self._timeout = timeout
        self._window = window_seconds
        self._session = session or requests.Session()
        self.looked_at = 0.0
        """When the metrics were last looked up (epoch s)."""
        self._found: frozenset[str] = frozenset()
        self._look_again = -math.inf
        self._last_success: float | None = None
        self._last_error = ""
        self._notes: Counter[str] = Counter()

    def discover(self) -> frozenset[str]:
        """The metrics we can read that had samples lately. Asks at most every ten minutes; raises PullError before the
        first answer, and lets an older one stand after it."""
        if time.monotonic() < self._look_again:
            return self._found
        now = time.time()
        form = {"match[]": promql.any_of(list(self._families)), "start": str(now - LOOKBACK_SECONDS), "end": str(now)}
        try:
            answer = self._ask("/api/v1/label/__name__/values", form, get=True)
            given = decoded(answer.data, list[str], "a list of names")
        except PullError as error:
            self._last_error = str(error)
            if not self._found:
                raise
            return self._found
        self._found = frozenset(given) & self._families.keys()
        self.looked_at = now
        self._look_again = time.monotonic() + (DISCOVERY_SECONDS if self._found else EMPTY_DISCOVERY_SECONDS)
        return self._found

    def read_minute(self, minute: int, only: frozenset[str] | None = None) -> Reading:
        """How much each family there is (or those that any metric of `only` is of) grew in the minute from `minute` (epoch s).

        Raises PullError where nobody knows yet which metrics there are; a family that fails is in the reading instead.
        """
        reading = Reading()
        wanted = self.discover() if only is None else only
        families = dict.fromkeys(self._families[metric] for metric in sorted(wanted))
        unreachable = False
        for family in families:
            metrics = [metric for metric in family.metrics if metric in self._found | wanted]
            if unreachable:  # it would wait for the same silence
                reading.again.update(metrics)
                continue
            try:
                rows, partial = self._read_family(family, metrics, minute)
            except PullError as error:
                self._last_error = str(error)
                if error.again:
                    reading.again.update(metrics)
                    unreachable = error.reason == "unreachable"
                else:
                    reading.refused |= dict.fromkeys(metrics, str(error))
                    self.dropped[error.reason] += 1
                continue
            reading.rows += rows
            if partial:
                self._last_error = f"{metrics[0]}: {partial}"
                reading.again.update(metrics)
        if not reading.again:
            self._last_success = time.time()
        return reading

    def state(self) -> dict[str, object]:
        """For `doctor`: the address without credentials, what was found there, how it went."""
        return {
            "url": self.url,
            "metrics": sorted(self._found),
            "last_success": self._last_success,
            "last_error": self._last_error,
            "dropped": dict(self.dropped),
            "notes": dict(self._notes),
        }

    def _read_family(self, family: Family, metrics: Sequence[str], minute: int) -> tuple[list[Row], str]:
        """A family's rows, its metrics added up where it has several, and why they are not all, or "" where they are."""
        increases: dict[tuple[str, ...], float] = {}
        lacking = ""
        ask = promql.growth if family.role is Role.BUCKET else promql.increase
        for metric in metrics:
            query = ask(metric, family.labels, self._window, LOOKBACK_SECONDS)
            form = {"query": query, "time": str(minute + self._window), "timeout": f"{self._timeout:g}s"}
            answer = self._ask("/api/v1/query", form)
            for one in _vector(metric, answer):
                increase = number(one.value)
                if increase is None:
                    self.dropped["not a number"] += 1
                elif increase > 0:
                    values = tuple([one.metric.get(label, "") for label in family.labels])
                    increases[values] = increases.get(values, 0.0) + increase
            lacking = self._partial(answer) or lacking
        rows = [
            Row(family, dict(zip(family.labels, values, strict=True)), minute, increase)
            for values, increase in increases.items()
        ]
        return rows, lacking

    def _partial(self, answer: Envelope) -> str:
        """What an answer lacks. Remarks on the query itself (`PromQL warning`, `PromQL info`) do not make it partial."""
        if answer.is_partial:
            return "the answer is partial"
        for warning in answer.warnings or ():
            if not warning.startswith("PromQL "):
                return f"the answer is partial: {shown(warning)}"
            self._notes["PromQL warning"] += 1
        return ""

    # -- one request ---------------------------------------------------------------------------------------------------

    def _ask(self, path: str, form: Mapping[str, str], *, get: bool = False) -> Envelope:
        """One question, put again at once only where the server was merely busy."""
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, PullError) and error.busy),
            stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(self._timeout),
            wait=wait_exponential_jitter(multiplier=0.2, max=2.0, jitter=0.2),
            reraise=True,
        )
        return retrying(self._exchange, path, form, get)

    def _exchange(self, path: str, form: Mapping[str, str], get: bool) -> Envelope:
        what: dict[str, Any] = {"params": form} if get else {"data": form}
        try:
            with self._session.request(
                "GET" if get else "POST",
                self.url + path,
                auth=self._auth,
                timeout=(_CONNECT_SECONDS, self._timeout),
                allow_redirects=False,  # headers with secrets stay with the server they are for
                stream=True,
                **what,
            ) as response:
                return envelope(response.status_code, self._body(response))
        except requests.Timeout:
            raise PullError(
                f"{self.url} did not answer within {self._timeout:g} s", "unreachable", again=True
            ) from None
        except requests.RequestException as error:
            busy = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
            raise PullError(
                f"{self.url} cannot be read ({type(error).__name__})", "unreachable", again=True, busy=busy
            ) from None

    def _body(self, response: requests.Response) -> bytes:
        deadline = time.monotonic() + self._timeout
        parts, size = [], 0
        for part in response.iter_content(2**16):
            parts.append(part)
            size += len(part)
            if size > MAX_BYTES:
                raise PullError(f"an answer of more than {MAX_BYTES >> 20} MiB", "answer too large", again=False)
            if time.monotonic() > deadline:  # requests' own timeout is for each read, and a drip is never late
                raise requests.Timeout
        return b"".join(parts)


def _vector(metric: str, answer: Envelope) -> list[Series]:
    """The series of an answer. Raises PullError where it is something else, or too much."""
    data = decoded(answer.data, Data, "a result")
    if data.result_type != "vector":
        raise PullError(f"{metric}: a {data.result_type[:20]} came instead of a vector", "not a vector", again=False)
    series = decoded(data.result, list[Series], "a vector")
    if len(series) > MAX_SERIES:
        raise PullError(
            f"{metric}: {len(series)} series a minute, and at most {MAX_SERIES} are taken. Drop labels with a recording "
            "rule, or leave this metric out",
            "too many series",
            again=False,
        )
    return series
