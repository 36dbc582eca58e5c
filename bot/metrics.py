"""Every number the bot publishes on `/metrics`, in one list, so that the README's table can be tested against it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

HTTP_REQUESTS = Counter("topology_bot_http_requests", "HTTP requests", ["route", "status"], registry=REGISTRY)
HTTP_SECONDS = Histogram("topology_bot_http_seconds", "Time to answer", ["route"], buckets=_FAST, registry=REGISTRY)

TELEMETRY_ACCEPTED = Counter(
    "topology_bot_telemetry_accepted",
    "Spans, samples, flow records and identities taken in",
    ["source"],
    registry=REGISTRY,
)
TELEMETRY_DROPPED = Counter(
    "topology_bot_telemetry_dropped",
    "Telemetry records and map entries left out",
    ["source", "reason"],
    registry=REGISTRY,
)
TELEMETRY_LAST = Gauge(
    "topology_bot_telemetry_last_seconds", "Epoch time of the last batch", ["source"], registry=REGISTRY
)
TELEMETRY_QUEUED = Gauge("topology_bot_telemetry_queued_bytes", "Bytes of telemetry waiting", registry=REGISTRY)
OPEN_SPANS = Gauge("topology_bot_open_spans", "Spans waiting for their other half", registry=REGISTRY)
OPEN_TRACES = Gauge("topology_bot_open_traces", "Traces held open", registry=REGISTRY)
OPEN_GROUPS = Gauge("topology_bot_open_flow_groups", "Groups of flow records held open", registry=REGISTRY)
MAP_SERVICES = Gauge("topology_bot_map_services", "Services on the live map", registry=REGISTRY)
MAP_EDGES = Gauge("topology_bot_map_edges", "Edges on the live map", registry=REGISTRY)
WINDOWS_WRITTEN = Counter("topology_bot_windows_written", "Edge windows written", registry=REGISTRY)
WINDOWS_DIRTY = Gauge("topology_bot_windows_dirty", "Edge windows waiting to be written", registry=REGISTRY)

CHANGES = Counter("topology_bot_changes", "Change events told of", ["source", "verdict"], registry=REGISTRY)
CHANGES_DROPPED = Counter(
    "topology_bot_changes_dropped", "Change events let go of before their time", ["reason"], registry=REGISTRY
)

DELIVERIES = Counter("topology_bot_deliveries", "Webhook deliveries", ["source", "verdict"], registry=REGISTRY)
DELIVERIES_WAITING = Gauge("topology_bot_deliveries_waiting", "Stored deliveries not worked yet", registry=REGISTRY)
ALERT_STEP_SECONDS = Histogram(
    "topology_bot_alert_step_seconds", "Time in one step of the alert path", ["step"], buckets=_FAST, registry=REGISTRY
)
ALERT_STEP_FAILURES = Counter(
    "topology_bot_alert_step_failures", "Steps that failed; the alert went on without them", ["step"], registry=REGISTRY
)

OUTBOX_SENT = Counter("topology_bot_outbox_sent", "Messages posted or edited", ["what"], registry=REGISTRY)
OUTBOX_RETRIES = Counter("topology_bot_outbox_retries", "Attempts that will be repeated", ["reason"], registry=REGISTRY)
OUTBOX_FAILED = Counter("topology_bot_outbox_failed", "Messages given up or degraded", ["reason"], registry=REGISTRY)
OUTBOX_POSSIBLE_DUPLICATES = Counter(
    "topology_bot_outbox_possible_duplicates",
    "Posted again although it could not be looked up whether the first try arrived",
    registry=REGISTRY,
)
OUTBOX_LATENCY = Histogram(
    "topology_bot_outbox_seconds", "From written to accepted by Slack", buckets=_FAST, registry=REGISTRY
)
INCIDENTS_FOLDED = Counter(
    "topology_bot_incidents_folded",
    "Open incidents that turned out to be another, and were folded into it",
    registry=REGISTRY,
)
OUTBOX_WAITING = Gauge("topology_bot_outbox_waiting", "Messages waiting to be sent", registry=REGISTRY)
PAGERDUTY_REQUESTS = Counter(
    "topology_bot_pagerduty_requests",
    "Calls to PagerDuty's API, beside the catalogue's",
    ["method", "outcome"],
    registry=REGISTRY,
)
PAGERDUTY_DEPENDENCIES = Counter(
    "topology_bot_pagerduty_dependencies",
    "Dependencies between PagerDuty services: what was done, and what was found done by others",
    ["what"],
    registry=REGISTRY,
)
COMMANDS = Counter(
    "topology_bot_slack_commands",
    "Questions in Slack: commands, clicks, mentions, direct messages",
    ["what"],
    registry=REGISTRY,
)
SLACK_FILES = Counter(
    "topology_bot_slack_files",
    "Pictures and files for Slack: uploaded, failed, not drawn, not tried while uploads rest after a failure",
    ["outcome"],
    registry=REGISTRY,
)
UNFURLS = Counter(
    "topology_bot_slack_unfurls",
    "Links pasted in Slack: shown, not shown (no page of ours), unknown (nobody knows what they name), failed, busy, sent again",
    ["outcome"],
    registry=REGISTRY,
)
SOCKET_ENVELOPES = Counter(
    "topology_bot_slack_envelopes",
    "What came over Slack's socket, by kind or why it was not worked",
    ["what"],
    registry=REGISTRY,
)
RETHOUGHT = Counter(
    "topology_bot_incidents_rethought", "Open incidents thought about again", ["outcome"], registry=REGISTRY
)
COURTESIES = Counter(
    "topology_bot_courtesies",
    "Other teams' channels that were told of an incident, or why not: told, muted, cap, quiet hours, told already",
    ["outcome"],
    registry=REGISTRY,
)
DIGESTS = Counter("topology_bot_digests", "Days of daily digests that were settled", ["outcome"], registry=REGISTRY)
MCP_CALLS = Counter("topology_bot_mcp_calls", "Tools called over MCP", ["tool", "outcome"], registry=REGISTRY)
LOOP_FAILURES = Counter("topology_bot_loop_failures", "Background loops restarted", ["loop"], registry=REGISTRY)

PICTURES = Counter(
    "topology_bot_pictures", "Pictures asked for, by what became of them", ["format", "outcome"], registry=REGISTRY
)
PICTURE_SECONDS = Histogram(
    "topology_bot_picture_seconds", "Time to lay a picture out", ["format"], buckets=_FAST, registry=REGISTRY
)

CATALOG_SERVICES = Gauge("topology_bot_catalog_services", "Services the catalogue knows", registry=REGISTRY)
CATALOG_PROBLEMS = Gauge("topology_bot_catalog_problems", "What is wrong in the catalogue's sources", registry=REGISTRY)
CATALOG_FAILURES = Counter(
    "topology_bot_catalog_failures", "Readings of catalogue sources that failed", ["source"], registry=REGISTRY
)
