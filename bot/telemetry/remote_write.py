"""Prometheus remote write 1.0 and 2.0: a snappy-packed protobuf body -> samples.

Comes in: the body as sent. Goes out: a `SampleBatch`. What is lost: metadata and exemplars; native histograms are counted
and ignored, since everything that counts calls has classic ones or a counter beside them.

Sources: prometheus.io/docs/specs/prw/remote_write_spec and …_spec_2_0; the messages are those of prometheus/prompb
(`remote.proto`, `types.proto`, `io/prometheus/write/v2/types.proto`), declared as far as they are read here. In 2.0 label names and
values are places in one table of symbols, the first of which is empty.

A series says its labels anew in every body, so they are passed on as they came, to be read only where they are new
(`Written`). That is most of the work saved.
"""

from __future__ import annotations

from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from bot.errors import BadRequest, TooLarge, UnsupportedMediaType
from bot.telemetry.samples import NAME, Sample, SampleBatch

MAX_UNPACKED = 32 * 1024 * 1024
"""Bytes of one message. Senders keep to a tenth of it; VictoriaMetrics takes as many (docs.victoriametrics.com, maxInsertRequestSize)."""
MAX_IN_BODY = 1_000_000
"""Series, and samples, of one body: an empty one takes two bytes there, and a hundred times that here."""
_TOO_MANY = f"more than {MAX_IN_BODY} series or samples in one body: send fewer at a time"

PROTO_1, PROTO_2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "topology_bot_prw"
# message -> field -> (number, type or message name, repeated). `labels` are `Label` messages, kept packed.
_MESSAGES: dict[str, dict[str, tuple[int, int | str, bool]]] = {
    "Label": {"name": (1, _Field.TYPE_BYTES, False), "value": (2, _Field.TYPE_BYTES, False)},
    "Sample": {"value": (1, _Field.TYPE_DOUBLE, False), "timestamp": (2, _Field.TYPE_INT64, False)},
    "TimeSeries": {
        "labels": (1, _Field.TYPE_BYTES, True),
        "samples": (2, "Sample", True),
        "histograms": (4, _Field.TYPE_BYTES, True),
    },
    "WriteRequest": {"timeseries": (1, "TimeSeries", True)},
    "SampleV2": {
        "value": (1, _Field.TYPE_DOUBLE, False),
        "timestamp": (2, _Field.TYPE_INT64, False),
        "start_timestamp": (3, _Field.TYPE_INT64, False),
    },
    "TimeSeriesV2": {
        "labels_refs": (1, _Field.TYPE_UINT32, True),
        "samples": (2, "SampleV2", True),
        "histograms": (3, _Field.TYPE_BYTES, True),
        "created_timestamp": (6, _Field.TYPE_INT64, False),
    },
    "Request": {"symbols": (4, _Field.TYPE_STRING, True), "timeseries": (5, "TimeSeriesV2", True)},
}
_PACKED_NAME = b"\n\x08__name__\x12"
_NAMELESS = "a series without __name__"


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}/write.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = message.field.add(name=field, number=number)
            added.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                added.type = _Field.Type.ValueType(kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


MESSAGES = _build()
"""The message classes by name, for tests and benchmarks that write bodies."""


class Written(Sample):
    """A sample whose identity is its packed labels."""

    __slots__ = ()

    @property
    def labels(self) -> dict[str, str]:
        """The labels; none where one of them is no label."""
        try:
            labels = [MESSAGES["Label"].FromString(part) for part in self.identity]
        except DecodeError:
            return {}
        return {one.name.decode(errors="replace"): one.value.decode(errors="replace") for one in labels}


def protocol(content_type: str, encoding: str) -> str:
    """Which of the two messages a body holds. Raises UnsupportedMediaType, at which a sender falls back to the other."""
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() != "application/x-protobuf":
        raise UnsupportedMediaType(f"Content-Type {kind[:60]!r}: send application/x-protobuf")
    if encoding.strip().lower() != "snappy":
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:40]!r}: send snappy (block format)")
    name, _, value = parameters.strip().partition("=")
    if not parameters.strip():
        return PROTO_1
    if name.strip() == "proto" and value.strip() in (PROTO_1, PROTO_2):
        return value.strip()
    raise UnsupportedMediaType(f"{parameters.strip()[:80]!r}: this door reads proto={PROTO_1} and proto={PROTO_2}")


def decode(proto: str, body: bytes, now: float) -> SampleBatch:
    """The samples of one body. Raises BadRequest where it is not snappy or not that message, TooLarge past the limit."""
    raw = _unsnap(body)
    try:
        request = MESSAGES["WriteRequest" if proto == PROTO_1 else "Request"].FromString(raw)
    except DecodeError:
        raise BadRequest(f"not a {proto} message") from None
    # Counted before anything is made of them.
    if len(request.timeseries) > MAX_IN_BODY or sum(len(series.samples) for series in request.timeseries) > MAX_IN_BODY:
        raise TooLarge(_TOO_MANY)
    return _read_1(request) if proto == PROTO_1 else _read_2(request)


def _unsnap(body: bytes) -> bytes:
    size, shift = 0, 0
    for byte in body[:5]:  # the length comes first, as a varint: looked at before anything is unpacked
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MAX_UNPACKED:
        raise TooLarge(f"the body unpacks to more than {MAX_UNPACKED} bytes")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise BadRequest("not snappy data in block format") from None


def _read_1(request: Any) -> SampleBatch:
    batch = SampleBatch()
    take = batch.samples.append
    for series in request.timeseries:
        identity = tuple(series.labels)
        # Labels come sorted, so the name is first but for labels in capitals.
        if not (identity and identity[0].startswith(_PACKED_NAME)) and not any(
            label.startswith(_PACKED_NAME) for label in identity
        ):
            batch.refuse(_NAMELESS, len(series.samples) or 1)
            continue
        for one in series.samples:
            take(Written(identity, one.timestamp / 1_000, one.value))
        batch.histograms += len(series.histograms)
    return _sorted_out(batch)


def _read_2(request: Any) -> SampleBatch:
    batch = SampleBatch()
    take = batch.samples.append
    symbols = list(request.symbols)
    for series in request.timeseries:
        try:
            identity = tuple([symbols[place] for place in series.labels_refs])
        except IndexError:
            identity = ()
        if len(identity) % 2 or NAME not in identity[::2]:
            why = _NAMELESS if identity else "labels_refs point outside the table of symbols"
            batch.refuse(why, len(series.samples) or 1)
            continue
        created = series.created_timestamp / 1_000
        for one in series.samples:
            take(Sample(identity, one.timestamp / 1_000, one.value, one.start_timestamp / 1_000 or created))
        batch.histograms += len(series.histograms)
    return _sorted_out(batch)


def _sorted_out(batch: SampleBatch) -> SampleBatch:
    """Without the NaNs by which Prometheus marks the end of a series."""
    sent = len(batch.samples)
    batch.samples = [sample for sample in batch.samples if sample.value == sample.value]
    batch.accepted = len(batch.samples)
    if sent > batch.accepted:
        batch.ignore("stale marker", sent - batch.accepted)
    if batch.histograms:
        batch.ignore("native histogram", batch.histograms)
    return batch
