"""How the setting of metrics' kinds is written."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from bot.enrich.causes.metric_kinds import MAX_RULES, Rule, parse_rule


def _rules(value: object) -> object:
    texts = [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value
    if not isinstance(texts, tuple | list):
        return value
    if len(texts) > MAX_RULES:
        raise ValueError(f"at most {MAX_RULES} rules")
    return tuple(parse_rule(one) if isinstance(one, str) else one for one in texts)


MetricRules = Annotated[tuple[Rule, ...], BeforeValidator(_rules)]
