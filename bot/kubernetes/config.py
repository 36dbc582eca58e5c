"""Where a cluster's API is and how to prove who we are: from a kubeconfig, or from a pod's service account.

Comes in: the files kubectl uses, or those Kubernetes mounts into a pod. Goes out: a `Cluster`. What is refused, loudly:
credentials that would have to be fetched by running a program (`exec`, `auth-provider`), a proxy, a password. No secret is
ever in an error.

Sources: kubernetes.io/docs/reference/config-api/kubeconfig.v1, kubernetes.io/docs/tasks/run-application/access-api-from-pod
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from bot.catalog import plain_yaml
from bot.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS = 60.0
"""How long a token that was read from a file is used: a mounted one is replaced before it runs out."""


class Token:
    """A bearer token, "" for none; one from a file is read again as it rotates."""

    def __init__(self, value: str = "", file: Path | None = None) -> None:
        self._value = value
        self._file = file
        self._read_at: float | None = None

    def value(self) -> str:
        """The token as it is now. Raises ConfigError where its file never could be read."""
        if self._file is not None and (self._read_at is None or time.monotonic() - self._read_at > TOKEN_SECONDS):
            try:
                self._value = self._file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                if not self._value:
                    raise ConfigError(f"the token in {self._file} cannot be read ({type(error).__name__})") from None
            self._read_at = time.monotonic()
        return self._value

    def expire(self) -> None:
        """The server refused it: read the file again."""
        self._read_at = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server. `tls_name` is the name its certificate has, where that is not the address's; `origin` is for people."""

    server: str
    token: Token = field(default_factory=Token, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    tls_name: str | None = None
    origin: str = ""


def in_cluster(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Cluster:
    """The cluster this process runs in. Raises ConfigError where it does not run in one."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        raise ConfigError(
            "not in a Kubernetes pod with a service account: give a kubeconfig, or mount the token "
            "(automountServiceAccountToken)"
        )
    name = f"[{host}]" if ":" in host else host
    tls = _tls(_file(folder / "ca.crt").decode(errors="replace"), verify=True)
    return Cluster(f"https://{name}:{port}", Token(file=folder / "token"), tls, origin="service account")


def from_kubeconfig(path: Path, context: str = "") -> Cluster:
    """The cluster of a kubeconfig's `context`, by default its current one. Raises ConfigError with what is wrong."""
    try:
        document = plain_yaml.read(_file(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"kubeconfig {path} is not YAML: {_first_line(error)}") from None
    if not isinstance(document, plain_yaml.Fields):
        raise ConfigError(f"kubeconfig {path} is not a mapping")
    reader = _Reader(path, document)
    chosen = context or reader.text(document, "current-context")
    if not chosen:
        raise ConfigError(f"kubeconfig {path} has no current-context: say which context to use")
    found = reader.named("contexts", chosen, "context")
    cluster = reader.named("clusters", reader.text(found, "cluster"), "cluster")
    user_name = reader.text(found, "user")
    user = reader.named("users", user_name, "user") if user_name else plain_yaml.Fields()
    return reader.cluster(cluster, user, chosen)


class _Reader:
    """Reads one kubeconfig. Relative file names start at its folder, as kubectl has it."""

    def __init__(self, path: Path, document: plain_yaml.Fields) -> None:
        self._path = path
        self._document = document

    def cluster(self, cluster: plain_yaml.Fields, user: plain_yaml.Fields, context: str) -> Cluster:
        """The cluster of a context."""
        self._refuse(user, context)
        server = self.text(cluster, "server").rstrip("/")
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise self._wrong(f"context {context!r}: `server` has to be an http(s) address without credentials")
        if self.text(cluster, "proxy-url"):
            raise self._wrong(f"context {context!r}: `proxy-url` is not supported")
        tls = None
        if parts.scheme == "https":
            authority = self._data(cluster, "certificate-authority")
            verify = self.text(cluster, "insecure-skip-tls-verify") != "true"
            tls = _tls(authority.decode(errors="replace") if authority else None, verify=verify)
            self._load_certificate(tls, user)
        token, file = self.text(user, "token"), self.text(user, "tokenFile")
        made = Token(file=self._path.parent / file) if file else Token(token)
        return Cluster(server, made, tls, self.text(cluster, "tls-server-name") or None, f"context {context}")

    def _refuse(self, user: plain_yaml.Fields, context: str) -> None:
        for key in ("exec", "auth-provider"):
            if user.get(key) is not None:
                raise self._wrong(
                    f"context {context!r} gets its credentials by running a program (`{key}`), which a service does not "
                    "do. Make a service account for it, and put its token in a file (`tokenFile`)"
                )
        if user.get("password") is not None:
            raise self._wrong(f"context {context!r} has a password, which Kubernetes 1.19 and later do not take")

    def _load_certificate(self, tls: ssl.SSLContext, user: plain_yaml.Fields) -> None:
        certificate, key = self._data(user, "client-certificate"), self._data(user, "client-key")
        if certificate is None and key is None:
            return
        if certificate is None or key is None:
            raise self._wrong("a client certificate needs both client-certificate and client-key")
        # ssl reads them from files only; these are readable by us alone, and gone again at once.
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_bytes(key + b"\n" + certificate)
            try:
                tls.load_cert_chain(pair)
            except (ssl.SSLError, OSError):
                raise self._wrong("the client certificate and its key do not fit, or are not PEM") from None

    def _data(self, fields: plain_yaml.Fields, key: str) -> bytes | None:
        """What `key`-data holds in base64, else what the file named by `key` holds."""
        if packed := self.text(fields, f"{key}-data"):
            try:
                return base64.b64decode(packed, validate=True)
            except (binascii.Error, ValueError):
                raise self._wrong(f"{key}-data is not base64") from None
        name = self.text(fields, key)
        return _file(self._path.parent / name) if name else None

    def named(self, collection: str, name: str, key: str) -> plain_yaml.Fields:
        """The item of that name in one of the kubeconfig's lists."""
        items = self._document.get(collection)
        for item in items if isinstance(items, plain_yaml.Items) else ():
            if isinstance(item, plain_yaml.Fields) and item.get("name") == name:
                found = item.get(key)
                return found if isinstance(found, plain_yaml.Fields) else plain_yaml.Fields()
        raise self._wrong(f"there is no {key} {name!r}")

    @staticmethod
    def text(fields: plain_yaml.Fields, key: str) -> str:
        """A scalar, "" where it is missing or none."""
        value = fields.get(key)
        return value.strip() if isinstance(value, str) else ""

    def _wrong(self, why: str) -> ConfigError:
        return ConfigError(f"kubeconfig {self._path}: {why}")


def _tls(authority: str | None, *, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError:
        raise ConfigError("the cluster's certificate authority is not PEM") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror or type(error).__name__})") from None


def _first_line(error: yaml.YAMLError) -> str:
    """Where it went wrong, without the line itself: it may hold a token."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark is not None else str(error).split("\n", 1)[0][:80]
