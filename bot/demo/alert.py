"""The alert of the demo, and the catalogue it is answered from.

Source: prometheus.io "Alertmanager: webhook receiver", version 4, as Alertmanager 0.34 sends it.
"""

from __future__ import annotations

import time
from typing import Any

CATALOG = """\
services:
  - {id: web, team: Storefront, slack: "#team-storefront", tier: 1, domain: shop, entry_point: true}
  - {id: checkout, team: Checkout, slack: "@checkout-oncall", tier: 1, domain: shop}
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, domain: money, runbook: "https://runbooks.example/payments"}
  - {id: payments-db, team: Data, slack: "#team-data", tier: 1, domain: money}
  - {id: invoices, team: Payments, slack: "@pay-oncall", tier: 2, domain: money}
  - {id: cart, team: Storefront, slack: "#team-storefront", tier: 2, domain: shop}
  - {id: tills, team: Stores, slack: "#team-stores", tier: 2, domain: shop}
"""


def alertmanager_webhook(started: float) -> dict[str, Any]:
    """An Alertmanager v4 webhook as Alertmanager 0.34 sends it for a rule on payments that fires since `started` (epoch s)."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(started))
    labels = {"alertname": "HighErrorRate", "service": "payments", "severity": "critical", "env": "prod"}
    annotations = {
        "summary": "More than 10% of requests to payments fail",
        "runbook_url": "https://runbooks.example/payments",
    }
    return {
        "version": "4", "groupKey": '{}:{alertname="HighErrorRate", service="payments"}', "truncatedAlerts": 0,
        "status": "firing", "receiver": "topology-bot", "groupLabels": {"alertname": "HighErrorRate", "service": "payments"},
        "commonLabels": labels, "commonAnnotations": annotations, "externalURL": "http://alertmanager.example:9093",
        "notification_reason": "first notification", "routeLabels": {},
        "alerts": [{
            "status": "firing", "labels": labels, "annotations": annotations, "startsAt": stamp, "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example:9090/graph?g0.expr=payments_errors", "fingerprint": "b2c1a4f09d7e6355",
        }],
    }  # fmt: skip
