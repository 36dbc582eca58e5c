"""Whom a message may call, as catalogues say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.catalog import backstage, services_file
from bot.catalog.entries import Catalog
from bot.catalog.facts import Facts, Format
from bot.catalog.merge import merge
from bot.model import Owner
from tests.catalog.readings import fact, only, reading
from tests.catalog.test_services_file import services

COMPONENT = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: payments
  annotations: {%s}
spec: {type: service, owner: group:default/payments-team}
"""
GROUP = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata:
  name: payments-team
  annotations: {%s}
spec: {type: team}
"""


def component(annotations: str) -> Facts:
    return only(reading(backstage.read, COMPONENT % annotations))


def owner(found: Catalog, service: str = "payments") -> Owner | None:
    entry = found.entry(service)
    return entry.owner if entry is not None else None


def test_services_yaml_names_a_group_or_a_person(tmp_path: Path) -> None:
    found = services(tmp_path, '{id: payments, team: Payments, slack: "@pay", mention: S0123ABCD}')

    assert found.problems == ()
    assert owner(found) == Owner("Payments", "@pay", "services.yaml", mention="S0123ABCD")


def test_what_is_no_id_is_named_and_left_out(tmp_path: Path) -> None:
    found = services(tmp_path, '{id: payments, team: Payments, mention: "<!channel>"}')

    assert owner(found) == Owner("Payments", "", "services.yaml")
    assert [one.partition(": ")[2] for one in found.problems] == [
        "payments: mention is no Slack id of a user group (S…) or a person (U…, W…)"
    ]


def test_an_id_where_a_handle_should_stand_is_called_and_not_shown(tmp_path: Path) -> None:
    found = owner(services(tmp_path, "{id: payments, team: Payments, slack: S0123ABCD}"))

    assert found == Owner("Payments", "", "services.yaml", mention="S0123ABCD")


@pytest.mark.parametrize(
    ("annotations", "mention", "slack"),
    [
        ("slack.com/bot-notify: S0123ABCD", "S0123ABCD", ""), ("slack.com/bot-notify: U024BE7LH", "U024BE7LH", ""),
        ("slack.com/bot-notify: C0123ABCD", "", "C0123ABCD"), ("slack.com/bot-notify: ada@shop.example", "", ""),
        ("shop.example/slack-usergroup: S0123ABCD, slack.com/bot-notify: U024BE7LH", "S0123ABCD", ""),
        ('shop.example/slack-channel: "#pay", slack.com/bot-notify: C0123ABCD', "", "#pay"),
    ],
)  # fmt: skip
def test_backstage_says_it_in_annotations(annotations: str, mention: str, slack: str) -> None:
    found = component(annotations)

    assert (found.mention, found.slack) == (mention, slack)


def test_a_group_of_backstage_is_called_for_all_it_owns() -> None:
    group = reading(backstage.read, GROUP % "slack.com/bot-notify: S0123ABCD")
    found = merge([reading(backstage.read, COMPONENT % ""), group])

    assert owner(found) == Owner("payments-team", "", "file.yaml", mention="S0123ABCD")
    assert found.entries["payments"].sources["mention"] == "file.yaml"


def test_nobody_is_called_for_another_team() -> None:
    found = merge(
        [reading(services_file.read, "[{id: payments, team: Payments}]", Format.SERVICES),
         reading(backstage.read, COMPONENT % "slack.com/bot-notify: S0123ABCD")]
    )  # fmt: skip

    assert owner(found) == Owner("Payments", "", "file.yaml")


def test_who_can_only_be_called_owns_it_all_the_same() -> None:
    found = merge([reading(services_file.read, "[{id: payments, mention: U024BE7LH}]", Format.SERVICES)])

    assert owner(found) == Owner("U024BE7LH", "", "file.yaml", mention="U024BE7LH")
    assert fact("x").mention == ""
