"""The OTLP trace request, declared as far as linking reads it.

protobuf skips fields a schema does not declare, a `bytes` field takes the bytes of any sub-message, and a list of
KeyValue messages is on the wire what a map from key to value is (protobuf.dev, "Maps: wire format"). So this schema
leaves names, events and links out and takes attributes as a map of raw values: an attribute is then found in C, by one
look-up, and those nobody asks for are never unpacked. Field numbers and types are those of opentelemetry-proto
(trace/v1/trace.proto, collector/trace/v1/trace_service.proto) and of google/rpc/status.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import api_implementation
from google.protobuf.message import Message

from bot.errors import ConfigError

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "topology_bot"
# message -> field -> (number, type or message name, repeated)
_MESSAGES: dict[str, dict[str, tuple[int, int | str, bool]]] = {
    "Span": {
        "trace_id": (1, _Field.TYPE_BYTES, False),
        "span_id": (2, _Field.TYPE_BYTES, False),
        "trace_state": (3, _Field.TYPE_BYTES, False),
        "parent_span_id": (4, _Field.TYPE_BYTES, False),
        "kind": (6, _Field.TYPE_INT32, False),
        "start_time_unix_nano": (7, _Field.TYPE_FIXED64, False),
        "end_time_unix_nano": (8, _Field.TYPE_FIXED64, False),
        "attributes": (9, "Span.AttributesEntry", True),
        "status": (15, _Field.TYPE_BYTES, False),  # Status
    },
    "ScopeSpans": {"spans": (2, "Span", True)},
    "ResourceSpans": {
        "resource": (1, _Field.TYPE_BYTES, False),  # Resource
        "scope_spans": (2, "ScopeSpans", True),
    },
    "Request": {"resource_spans": (1, "ResourceSpans", True)},
    "RpcStatus": {"code": (1, _Field.TYPE_INT32, False), "message": (2, _Field.TYPE_STRING, False)},
}


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}/otlp.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = message.field.add(name=field, number=number)
            added.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                added.type = _Field.Type.ValueType(kind)
        if name == "Span":
            entry = message.nested_type.add(name="AttributesEntry")  # KeyValue, its AnyValue left packed
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
            entry.field.add(name="value", number=2, type=_Field.TYPE_BYTES, label=_Field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()  # its own: the default pool belongs to generated code
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _build()
Request: type[Any] = _CLASSES["Request"]
"""ExportTraceServiceRequest. Typed Any: its fields exist only at run time."""
RpcStatus: type[Message] = _CLASSES["RpcStatus"]


def require_upb() -> None:
    """Raise ConfigError unless protobuf runs on its C core; the pure Python one is about a hundred times slower."""
    backend = api_implementation.Type()
    if backend != "upb":
        raise ConfigError(
            f"protobuf runs on its {backend!r} backend, which cannot keep up with spans: install a protobuf wheel built "
            "for this platform and unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
        )
