"""The doors of the network layer: flow records in our own format or a vendor's, and who owned which address.

Each answers 202 with `{"accepted","rejected","ignored","errors":[{"line","why"}…]}`, the first hundred errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from bot.errors import BadRequest
from bot.intake import Intake
from bot.layers.flow_fold import Folded
from bot.layers.network import NetworkLayer
from bot.model import Layer, Node
from bot.telemetry import flow_faults, identities
from bot.telemetry.flow_formats import FORMATS, Decoder
from bot.telemetry.flow_records import FlowOptions
from bot.telemetry.packing import BODY_LIMIT, unpack
from bot.web.auth import Gate
from bot.web.body import read
from bot.web.problem import json_response

OWN_FORMAT = "flows"


@dataclass(slots=True)
class Receipt:
    """What became of one body of flow records."""

    folded: Folded
    rejected: int
    ignored: Counter[str]
    errors: list[dict[str, object]]
    nodes: Mapping[str, Node] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Records taken in, those included that say nothing about calls."""
        return self.folded.accepted + self.ignored.total() - self.folded.ignored.total()


class FlowDoors:
    """POST `/ingest/flows` and `/ingest/identities`."""

    def __init__(self, intake: Intake, network: NetworkLayer, gate: Gate, options: FlowOptions) -> None:
        self._intake = intake
        self._network = network
        self._gate = gate
        self._options = options

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/ingest/flows", self.flows), web.post("/ingest/identities", self.identities)]

    async def flows(self, request: web.Request) -> web.Response:
        """Flow records as NDJSON, or in the vendor's format that `?format=` names."""
        self._gate.check(request, "ingest")
        name = request.query.get("format", OWN_FORMAT)
        if name != OWN_FORMAT and name not in FORMATS:
            known = ", ".join([OWN_FORMAT, *sorted(FORMATS)])
            raise BadRequest(f"format {name[:40]!r}: this door reads {known}")
        body = await read(request, BODY_LIMIT)
        decode = partial(self._decode, request.headers.get("Content-Encoding", ""), FORMATS.get(name))
        receipt = await self._intake.take(name, Layer.NETWORK, body, decode, self._keep)
        return _answer(receipt.accepted, receipt.rejected, receipt.errors, dict(receipt.ignored))

    def _decode(self, encoding: str, vendor: Decoder | None, body: bytes, now: float) -> Receipt:
        records = unpack(body, encoding)
        if vendor is None:
            folded = self._network.fold(records, now)
            errors = flow_faults.faults(records, *self._network.accepted_starts(now)) if folded.refused else []
            return Receipt(folded, folded.refused.total(), folded.ignored, errors)
        found = vendor(records, self._options)
        folded = self._network.fold(found.ndjson(), now)
        # Lines of the translation mean nothing to the sender.
        told: list[dict[str, object]] = [
            {"line": None, "why": f"{count} records: {why}"} for why, count in folded.refused.items()
        ]
        errors = [*found.errors, *told][: flow_faults.MAX_ERRORS]
        return Receipt(folded, found.rejected + folded.refused.total(), found.ignored + folded.ignored, errors)

    def _keep(self, receipt: Receipt, now: float) -> None:
        self._network.add(receipt.folded, now)

    async def identities(self, request: web.Request) -> web.Response:
        """Identity and listener records as NDJSON. The same body again is a heartbeat."""
        self._gate.check(request, "ingest")
        body = await read(request, BODY_LIMIT)
        encoding = request.headers.get("Content-Encoding", "")
        batch = await self._intake.take(
            "identities", Layer.NETWORK, body, partial(_unpacked, encoding), self._network.learn, repeats=True
        )
        return _answer(batch.accepted, batch.rejected, batch.errors, {})


def _unpacked(encoding: str, body: bytes, now: float) -> identities.IdentityBatch:
    return identities.decode(unpack(body, encoding), now)


def _answer(accepted: int, rejected: int, errors: list[dict[str, object]], ignored: Mapping[str, int]) -> web.Response:
    return json_response({"accepted": accepted, "rejected": rejected, "ignored": ignored, "errors": errors}, 202)
