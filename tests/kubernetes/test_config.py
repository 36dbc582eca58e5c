"""Finding the cluster and its credentials, and saying no to what would need a program or leak a secret."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from bot.errors import ConfigError
from bot.kubernetes import config
from bot.kubernetes.config import Token, from_kubeconfig, in_cluster
from tests.kubernetes.certificates import Certificates, make_certificates


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    """A kubeconfig with one context beside another, broken one."""
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "main",
        "contexts": [
            {"name": "other", "context": {"cluster": "nowhere", "user": "nobody"}},
            {"name": "main", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }  # fmt: skip
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_a_token_stands_in_the_kubeconfig_or_in_a_file_beside_it(tmp_path: Path) -> None:
    plain = {"server": "http://127.0.0.1:1234/"}
    found = from_kubeconfig(kubeconfig(tmp_path, plain, {"token": "t0ken"}))
    assert (found.server, found.token.value(), found.origin) == ("http://127.0.0.1:1234", "t0ken", "context main")
    assert "t0ken" not in repr(found)

    (tmp_path / "secret").write_text("fr0mfile\n")
    assert from_kubeconfig(kubeconfig(tmp_path, plain, {"tokenFile": "secret"})).token.value() == "fr0mfile"


@pytest.mark.parametrize("inline", [True, False], ids=["data in the kubeconfig", "files beside it"])
async def test_a_client_certificate_opens_a_server_whose_authority_is_the_cluster_s(
    inline: bool, tmp_path: Path, certificates: Certificates
) -> None:
    def given(key: str, path: Path) -> dict[str, str]:
        return {f"{key}-data": base64.b64encode(path.read_bytes()).decode()} if inline else {key: str(path)}

    async with serving(certificates) as port:
        cluster = {"server": f"https://127.0.0.1:{port}", "tls-server-name": "kube.test"}
        cluster |= given("certificate-authority", certificates.authority)
        user = given("client-certificate", certificates.client) | given("client-key", certificates.client_key)
        found = from_kubeconfig(kubeconfig(tmp_path, cluster, user))

        async with aiohttp.ClientSession() as session:
            async with session.get(found.server, ssl=found.tls or True, server_hostname=found.tls_name) as answer:
                assert await answer.text() == "client of the cluster"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(found.server)


def serving(certificates: Certificates) -> Any:
    """A server that wants a client certificate; gives its port."""

    class Serving:
        async def __aenter__(self) -> int:
            async def answer(request: web.Request) -> web.Response:
                assert request.transport is not None
                peer = request.transport.get_extra_info("peercert")
                return web.Response(text=dict(pair[0] for pair in peer["subject"])["commonName"])

            application = web.Application()
            application.router.add_get("/", answer)
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.authority)
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_cert_chain(certificates.server, certificates.server_key)
            self._runner = web.AppRunner(application, access_log=None)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
            return int(self._runner.addresses[0][1])

        async def __aexit__(self, *_: object) -> None:
            await self._runner.cleanup()

    return Serving()


@pytest.mark.parametrize(
    ("cluster", "user", "why"),
    [
        ({}, {"exec": {"command": "aws", "env": [{"name": "KEY", "value": "s3cret"}]}}, "running a program"),
        ({}, {"auth-provider": {"name": "gcp", "config": {"access-token": "s3cret"}}}, "running a program"),
        ({}, {"username": "admin", "password": "s3cret"}, "password"),
        ({"proxy-url": "http://me:s3cret@proxy"}, {}, "proxy-url"),
        ({"server": "kubernetes.test"}, {}, "http"),
        ({"server": "https://me:s3cret@kubernetes.test"}, {}, "without credentials"),
        ({"certificate-authority-data": "!s3cret"}, {}, "base64"),
        ({"certificate-authority-data": "czNjcmV0"}, {}, "PEM"),
        ({}, {"client-certificate-data": "czNjcmV0"}, "both"),
        ({}, {"client-certificate-data": "czNjcmV0", "client-key-data": "czNjcmV0"}, "PEM"),
        ({"certificate-authority": "missing.crt"}, {}, "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_words_without_the_secret(
    cluster: dict[str, Any], user: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        from_kubeconfig(kubeconfig(tmp_path, {"server": "https://kubernetes.test"} | cluster, user))
    assert "s3cret" not in str(caught.value)
    assert "czNjcmV0" not in str(caught.value)


def test_a_context_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"server": "https://kubernetes.test"}, {})
    with pytest.raises(ConfigError, match="no cluster 'nowhere'"):
        from_kubeconfig(path, "other")
    with pytest.raises(ConfigError, match="no context 'third'"):
        from_kubeconfig(path, "third")
    path.write_text("apiVersion: v1")
    with pytest.raises(ConfigError, match="current-context"):
        from_kubeconfig(path)


def test_a_file_that_is_no_kubeconfig_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    for content in ("token: [s3cret", "- s3cret", "s3cret: 's3cret"):
        path.write_text(content)
        with pytest.raises(ConfigError) as caught:
            from_kubeconfig(path)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        from_kubeconfig(tmp_path / "missing")


def test_in_a_pod_the_service_account_is_used_and_its_token_read_again_as_it_rotates(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_bytes(certificates.authority.read_bytes())
    found = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (found.server, found.token.value()) == ("https://[fd00::1]:6443", "first")

    (tmp_path / "token").write_text("second")
    assert found.token.value() == "first", "it is not read for every request"
    monkeypatch.setattr(config, "TOKEN_SECONDS", -1.0)
    assert found.token.value() == "second"
    (tmp_path / "token").unlink()
    assert found.token.value() == "second", "the last one known is better than none"


def test_outside_of_a_pod_there_is_no_service_account(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kubeconfig"):
        in_cluster({}, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Token(file=tmp_path / "missing").value()
