"""Writes remote-write bodies, both versions, as Prometheus does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cramjam

from bot.telemetry.remote_write import MESSAGES, PROTO_2

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
HEADERS_2 = HEADERS | {
    "Content-Type": f"application/x-protobuf;proto={PROTO_2}",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}

Sample = tuple[str, Mapping[str, str], float, float]
"""(metric, labels, epoch s, value)"""


def write_request(samples: Iterable[Sample]) -> bytes:
    """A 1.0 body, one series a sample."""
    request = MESSAGES["WriteRequest"]()
    for name, labels, at, value in samples:
        series = request.timeseries.add()
        for key, text in sorted({"__name__": name, **labels}.items()):
            label = MESSAGES["Label"](name=key.encode(), value=text.encode())
            series.labels.append(label.SerializeToString())
        series.samples.add(value=value, timestamp=int(at * 1_000))
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def write_request_2(samples: Iterable[Sample], created: float = 0.0) -> bytes:
    """A 2.0 body, with its table of symbols."""
    request = MESSAGES["Request"]()
    symbols = {"": 0}
    for name, labels, at, value in samples:
        series = request.timeseries.add(created_timestamp=int(created * 1_000))
        for pair in sorted({"__name__": name, **labels}.items()):
            series.labels_refs.extend(symbols.setdefault(text, len(symbols)) for text in pair)
        series.samples.add(value=value, timestamp=int(at * 1_000))
    request.symbols.extend(symbols)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
