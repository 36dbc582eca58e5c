"""Who is let in, and what the refused are told."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bot.alerts.verify import any_equal, bearer_or_basic, hmac_header
from bot.errors import Unauthorized

SECRET, OLDER = "correct-horse-battery", "older-secret"
ANY_TEXT = st.text(st.characters())  # half surrogates too: what is not UTF-8 on the wire arrives as such
BODY = b'{"event": {}}'


def authorization(value: str) -> CIMultiDict[str]:
    return CIMultiDict({"authorization": value})


def basic(pair: str) -> CIMultiDict[str]:
    return authorization("Basic " + base64.b64encode(pair.encode()).decode())


def signature(secret: str, body: bytes = BODY) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(value: str) -> CIMultiDict[str]:
    return CIMultiDict({"x-signature": value})


def check(value: str, *secrets: str) -> None:
    hmac_header(signed(value), "X-Signature", BODY, secrets or (SECRET,), prefix="v1=")


@pytest.mark.parametrize("value", [f"Bearer {SECRET}", f"bearer {SECRET}", f"BEARER   {SECRET} "])
def test_a_bearer_token_opens_whatever_the_case_of_the_scheme(value: str) -> None:
    bearer_or_basic(authorization(value), (OLDER, SECRET))


def test_every_live_secret_opens_while_one_replaces_another() -> None:
    for secret in (OLDER, SECRET):
        bearer_or_basic(authorization(f"Bearer {secret}"), (OLDER, SECRET))


def test_basic_auth_opens_by_the_password_whatever_the_user() -> None:
    bearer_or_basic(basic(f"alertmanager:{SECRET}"), (SECRET,))


def test_basic_auth_opens_by_user_and_password_where_the_secret_names_both() -> None:
    bearer_or_basic(basic("am:pass:with:colons"), ("am:pass:with:colons",))
    with pytest.raises(Unauthorized):
        bearer_or_basic(basic("other:pass"), ("am:pass",))


def test_a_secret_may_be_written_in_any_script() -> None:
    bearer_or_basic(authorization("Bearer žluťoučký-kůň"), ("žluťoučký-kůň",))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "Authorization header is missing"),
        (f"Token {SECRET}", "neither Bearer nor Basic"),
        (SECRET, "neither Bearer nor Basic"),
        ("Bearer", "does not hold one of"),
        ("Bearer wrong-guess", "does not hold one of"),
        (f"Bearer {SECRET}x", "does not hold one of"),
        ("Bearer \udcff\ud800", "does not hold one of"),
        ("Basic !!!", "not valid basic auth"),
        ("Basic žluť", "not valid basic auth"),
        ("Basic /w==", "not valid basic auth"),
        ("Basic " + base64.b64encode(b"am:wrong-guess").decode(), "does not hold one of"),
        ("Basic " + base64.b64encode(SECRET.encode()).decode() + "=x", "not valid basic auth"),
    ],
)
def test_whoever_is_refused_learns_which_header_is_wrong_and_nothing_else(value: str, told: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        bearer_or_basic(authorization(value), (SECRET,))

    text = str(refused.value)
    assert "Authorization" in text
    assert told in text
    assert SECRET not in text
    assert "wrong-guess" not in text


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")], ids=["none", "one empty", "two empty"])
@pytest.mark.parametrize("value", ["Bearer ", "Bearer", "Basic Og==", "Basic YTo=", "Basic ", f"Bearer {SECRET}"])
def test_no_secret_or_an_empty_one_lets_nobody_in(secrets: tuple[str, ...], value: str) -> None:
    with pytest.raises(Unauthorized):
        bearer_or_basic(authorization(value), secrets)


@pytest.mark.parametrize("secrets", [(), ("",)], ids=["none", "an empty one"])
def test_no_signing_secret_or_an_empty_one_lets_nobody_in(secrets: tuple[str, ...]) -> None:
    with pytest.raises(Unauthorized):
        hmac_header(signed(f"v1={signature('')}"), "X-Signature", BODY, secrets, prefix="v1=")


@pytest.mark.parametrize(
    "value",
    [
        f"v1={signature(SECRET)}",
        f"v1={signature(SECRET).upper()}",
        f"v1={signature('another')},v1={signature(SECRET)}",
        f"  v1={signature(SECRET)} , v1={signature('another')} ",
        f"v0=00,v2={signature('another')},v1={signature(SECRET)},",
    ],
    ids=["alone", "upper case", "during a rotation", "spaces about", "beside other versions"],
)
def test_one_good_signature_is_enough(value: str) -> None:
    check(value)


def test_the_sender_may_sign_with_either_of_two_live_secrets() -> None:
    check(f"v1={signature(OLDER)}", SECRET, OLDER)


def test_a_signature_without_prefix_is_read_where_the_scheme_has_none() -> None:
    hmac_header(signed(signature(SECRET)), "X-Signature", BODY, (SECRET,))


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",,",
        "v1=",
        signature(SECRET),
        f"v2={signature(SECRET)}",
        f"v1={signature(SECRET)[:-1]}",
        f"v1={signature(SECRET)}0",
        f"v1={signature('another')}",
        f"v1={signature(SECRET, BODY + b' ')}",
        "v1=\udcff\ud800",
        ",".join(["v1=00"] * 2_000),
    ],
    ids=[
        "none", "nothing between commas", "empty", "no version", "another version", "cut", "longer", "another secret",
        "another body", "not text", "two thousand",
    ],
)  # fmt: skip
def test_a_missing_or_wrong_signature_is_refused_by_the_headers_name(value: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        check(value)

    assert "X-Signature" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert signature(SECRET) not in str(refused.value)


def test_a_request_without_the_header_is_refused() -> None:
    with pytest.raises(Unauthorized, match="X-Signature"):
        hmac_header({}, "X-Signature", BODY, (SECRET,), prefix="v1=")


@given(ANY_TEXT, st.lists(ANY_TEXT))
def test_a_text_is_equal_to_those_that_are_the_same_and_not_empty(given_text: str, secrets: list[str]) -> None:
    assert any_equal(given_text, secrets) == (given_text != "" and given_text in secrets)


@given(ANY_TEXT)
def test_no_header_breaks_the_door(value: str) -> None:
    with pytest.raises(Unauthorized):
        bearer_or_basic({"Authorization": value}, (SECRET,))
    with pytest.raises(Unauthorized):
        hmac_header({"X-Signature": value}, "X-Signature", BODY, (SECRET,), prefix="v1=")
