"""Stage 1 of the network layer: flow records -> legs per minute, columnar.

Comes in: our own NDJSON flow records (every vendor's format is translated to it first). Goes out: `Leg`s, one for all
records of one minute between the same two addresses to the same server port, with the client's end first. What is lost:
malformed records, records without ports, records too old or from the future, each counted with its reason; the client's
port; the start of each single record, of which a leg keeps the first and the last. Where an address changed hands within
the batch's minutes, its records are not folded at all, since attribution goes by each one's start.

DuckDB reads and groups the records several times faster than a loop over them could even parse them; memory goes with
the number of distinct legs.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import duckdb

from bot.errors import BadRequest, Overloaded
from bot.model import WINDOW_SECONDS
from bot.names import MAX_SEEN
from bot.telemetry import flow_faults

_LONGEST_LINE = 1_000_000  # each reading thread sets this much aside

REASONS = {
    1: flow_faults.NOT_A_RECORD,
    2: flow_faults.BAD_START,
    3: flow_faults.NO_ADDRESS,
    4: flow_faults.BAD_PORT,
    5: flow_faults.PORTLESS,
    6: flow_faults.NEGATIVE,
    7: flow_faults.BAD_CLIENT,
    8: flow_faults.BACKWARDS,
    9: flow_faults.TOO_LONG,
}
"""Why a record is not used, by the number the query gives."""
PORTLESS = 5  # well-formed, and nothing a map of calls can use: counted as ignored, not as rejected

_COLUMNS = """columns = {start: 'DOUBLE', "end": 'DOUBLE', src_ip: 'VARCHAR', src_port: 'BIGINT', dst_ip: 'VARCHAR',
 dst_port: 'BIGINT', proto: 'VARCHAR', bytes: 'DOUBLE', packets: 'DOUBLE', client: 'VARCHAR', reporter: 'VARCHAR',
 orig_dst_ip: 'VARCHAR', orig_dst_port: 'BIGINT', orig_src_ip: 'VARCHAR', src_service: 'VARCHAR', dst_service: 'VARCHAR'}"""

# A known listener is a server whatever the ports look like; else the lower port is: clients take theirs from the top.
_BY_PORT = "dst_port <= src_port"
_BY_LISTENER = """CASE WHEN (dst_ip, dst_port) IN (SELECT (ip, port) FROM places) THEN true
 WHEN (src_ip, src_port) IN (SELECT (ip, port) FROM places) THEN false ELSE dst_port <= src_port END"""

_READ = """
CREATE TEMP {kind} record AS SELECT *, CASE
  WHEN start IS NULL AND src_ip IS NULL AND dst_ip IS NULL THEN 1
  WHEN start IS NULL OR NOT (start >= $oldest AND start <= $newest) THEN 2
  WHEN src_ip IS NULL OR dst_ip IS NULL OR src_ip = '' OR dst_ip = '' THEN 3
  WHEN length(src_ip) > {address} OR length(dst_ip) > {address} OR length(orig_src_ip) > {address}
    OR length(orig_dst_ip) > {address} OR length(src_service) > {service} OR length(dst_service) > {service} THEN 9
  WHEN proto IS NULL OR proto NOT IN ('tcp', 'udp', 'sctp', 'TCP', 'UDP', 'SCTP') THEN 5
  WHEN src_port IS NULL OR dst_port IS NULL OR src_port NOT BETWEEN 0 AND 65535 OR dst_port NOT BETWEEN 0 AND 65535 THEN 4
  WHEN bytes < 0 OR packets < 0 OR bytes >= {most} OR packets >= {most} THEN 6 -- NaN is more than any number
  WHEN client IS NOT NULL AND client NOT IN ('src', 'dst') THEN 7
  WHEN "end" < start THEN 8
  ELSE 0 END AS bad,
  CASE client WHEN 'src' THEN true WHEN 'dst' THEN false ELSE {direction} END AS forward
FROM read_json('{path}', format = 'newline_delimited', ignore_errors = true, {columns}, maximum_object_size = {limit})
"""

# One column instead of four that are nearly always empty: what a row costs is its columns.
_MARKS = """CASE WHEN bad = 0 AND coalesce(orig_src_ip, orig_dst_ip, src_service, dst_service) IS NOT NULL THEN
  concat_ws('|', coalesce(if(forward, orig_src_ip, orig_dst_ip), ''), coalesce(if(forward, orig_dst_ip, orig_src_ip), ''),
                 coalesce(if(forward, src_service, dst_service), ''), coalesce(if(forward, dst_service, src_service), ''))
  END"""

_MOVED = """(src_ip, {slot}) IN (SELECT (ip, minute) FROM restless)
 OR (dst_ip, {slot}) IN (SELECT (ip, minute) FROM restless)"""

_FOLD = """
SELECT CASE WHEN bad = 0 THEN {slot} ELSE -bad END,
  CASE WHEN bad > 0 THEN NULL WHEN forward THEN src_ip ELSE dst_ip END,
  CASE WHEN bad > 0 THEN NULL WHEN forward THEN dst_ip ELSE src_ip END,
  CASE WHEN bad > 0 THEN NULL WHEN forward THEN dst_port ELSE src_port END,
  CASE WHEN bad > 0 THEN NULL ELSE
    CASE lower(proto) WHEN 'tcp' THEN 0 WHEN 'udp' THEN 10 ELSE 20 END + CASE WHEN forward THEN 0 ELSE 1 END
    + CASE WHEN reporter IS NULL OR reporter NOT IN ('src', 'dst') THEN 0 WHEN (reporter = 'src') = forward THEN 2 ELSE 4 END
  END,
  {marks}, count(*), sum(coalesce(bytes, 0)), min(start), max(start)
FROM record GROUP BY ALL
"""

_SINGLE = """
SELECT start, coalesce("end", start), CASE WHEN forward THEN src_ip ELSE dst_ip END,
  CASE WHEN forward THEN dst_ip ELSE src_ip END, CASE WHEN forward THEN dst_port ELSE src_port END, coalesce(bytes, 0)
FROM record WHERE bad = 0 AND forward AND orig_dst_ip IS NULL AND orig_src_ip IS NULL
  AND (src_ip IN (SELECT ip FROM opaque) OR dst_ip IN (SELECT ip FROM opaque))
  AND (reporter IS NULL OR reporter = 'src')
ORDER BY start LIMIT {limit}
"""
MAX_SINGLES = 20_000
"""Records of one batch kept one by one, to be compared by their likeness: those through intermediaries nothing else explains."""


Leg = tuple[float, str, str, int, int, str | None, int, float, float, float]
"""All records of one minute between two addresses. A plain tuple, since hundreds of thousands are made of a batch:

SLOT     start of the minute (epoch s), or the record's own start where an address changed hands in it
CLIENT   address at the client's end
SERVER   address at the server's end
PORT     the server's port
SIDE     0 forward, 1 reverse; +2 seen at the client's end, +4 at the server's; +0 tcp, +10 udp, +20 sctp
MARKS    None, or `dialler|dialled|client service|server service`: what the records say besides their addresses. The
         first two are the ends before or after translation
RECORDS  how many
BYTES    their sum
FIRST    the earliest start
LAST     the latest start
"""
SLOT: Final = 0
CLIENT: Final = 1
SERVER: Final = 2
PORT: Final = 3
SIDE: Final = 4
MARKS: Final = 5
RECORDS: Final = 6
BYTES: Final = 7
FIRST: Final = 8
LAST: Final = 9


class Single(NamedTuple):
    """One forward record through an intermediary that nothing explains: times in epoch s."""

    start: float
    end: float
    client: str
    server: str
    port: int
    bytes: float


@dataclass(slots=True)
class Folded:
    """One batch after stage 1. `refused` counts by reason; `ignored` records are fine and say nothing about calls."""

    legs: list[Leg] = field(default_factory=list)
    singles: list[Single] = field(default_factory=list)
    accepted: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Terms:
    """What folding has to know: accepted ages, who listens where, which addresses changed hands, who cannot be seen through."""

    oldest: float
    newest: float
    places: Sequence[tuple[str, int]] = ()
    restless: Sequence[tuple[str, int]] = ()
    """(address, start of a minute in which it changed hands)"""
    opaque: Sequence[str] = ()


class FlowFold:
    """Owns one in-memory DuckDB. One thread at a time."""

    def __init__(self, threads: int = 2, memory_mb: int = 512) -> None:
        self._database = duckdb.connect(
            ":memory:", config={"threads": threads, "memory_limit": f"{memory_mb}MB", "temp_directory": ""}
        )
        self._database.execute("SET preserve_insertion_order = false")
        self._database.execute("CREATE TABLE places (ip VARCHAR, port BIGINT)")
        self._database.execute("CREATE TABLE restless (ip VARCHAR, minute DOUBLE)")
        self._database.execute("CREATE TABLE opaque (ip VARCHAR)")
        self._loaded: dict[str, Sequence[object]] = {}
        self._is_view = True

    def fold(self, body: bytes, terms: Terms) -> Folded:
        """Fold one body of NDJSON. Raises Overloaded where memory does not suffice, BadRequest where nothing in it can be
        read; either way nothing was taken."""
        folded = Folded()
        if not body or body.isspace():
            return folded
        try:
            with _as_file(body) as path:
                self._load(terms)
                cursor = self._query(path, terms)
                while rows := cursor.fetchmany(100_000):
                    _sort(rows, folded)
                if terms.opaque:
                    found = self._database.execute(_SINGLE.format(limit=MAX_SINGLES)).fetchall()
                    folded.singles = [Single(*one) for one in found]
        except (duckdb.OutOfMemoryException, OSError) as error:
            raise Overloaded(f"flow records could not be folded: {type(error).__name__}") from error
        except duckdb.Error as error:
            raise BadRequest(f"not newline-delimited JSON: {str(error).splitlines()[0][:200]}") from None
        return folded

    def close(self) -> None:
        """Let the memory go."""
        self._database.close()

    def _query(self, path: str, terms: Terms) -> duckdb.DuckDBPyConnection:
        read = _READ.format(
            # A table only where single records are wanted as well: reading the body again costs more than keeping it.
            kind="TABLE" if terms.opaque else "VIEW",
            direction=_BY_LISTENER if terms.places else _BY_PORT,
            path=path,
            columns=_COLUMNS,
            limit=_LONGEST_LINE,
            address=flow_faults.MAX_ADDRESS,
            service=MAX_SEEN,
            most=repr(flow_faults.MOST),
        )
        for name, value in (("$oldest", terms.oldest), ("$newest", terms.newest)):
            read = read.replace(name, repr(float(value)))  # a view takes no parameters; both are our own numbers
        self._database.execute("DROP VIEW IF EXISTS record" if self._is_view else "DROP TABLE IF EXISTS record")
        self._is_view = not terms.opaque
        self._database.execute(read)
        slot = f"floor(start / {WINDOW_SECONDS}) * {WINDOW_SECONDS}"
        if terms.restless:
            slot = f"CASE WHEN {_MOVED.format(slot=slot)} THEN start ELSE {slot} END"
        return self._database.execute(_FOLD.format(slot=slot, marks=_MARKS))

    def _load(self, terms: Terms) -> None:
        """Bring the three tables up to date: they change with identities and listeners, not with every batch."""
        tables: dict[str, tuple[Sequence[object], list[list[object]]]] = {
            "places": (terms.places, [[ip for ip, _ in terms.places], [port for _, port in terms.places]]),
            "restless": (terms.restless, [[ip for ip, _ in terms.restless], [at for _, at in terms.restless]]),
            "opaque": (terms.opaque, [list(terms.opaque)]),
        }
        for table, (wanted, columns) in tables.items():
            if self._loaded.get(table) is wanted:
                continue
            self._database.execute(f"TRUNCATE {table}")
            if wanted:
                unnested = ", ".join("unnest(?)" for _ in columns)
                self._database.execute(f"INSERT INTO {table} SELECT {unnested}", columns)
            self._loaded[table] = wanted


def _sort(rows: list[Leg], folded: Folded) -> None:
    """Put legs to legs, and count what is none of them."""
    legs = [row for row in rows if row[SLOT] > 0]
    folded.legs += legs
    folded.accepted += sum([row[RECORDS] for row in legs])
    for row in rows:
        if row[SLOT] > 0:
            continue
        if row[SLOT] == -PORTLESS:
            folded.ignored["proto without ports"] += row[RECORDS]
            folded.accepted += row[RECORDS]
        else:
            folded.refused[REASONS[int(-row[SLOT])]] += row[RECORDS]


@contextmanager
def _as_file(body: bytes) -> Iterator[str]:
    """The body under a path DuckDB can open: in memory where the system can, for a disk would halve the speed."""
    if not hasattr(os, "memfd_create"):  # anywhere but Linux
        with tempfile.NamedTemporaryFile(prefix="topology-bot-flows-") as file:
            file.write(body)
            file.flush()
            yield file.name
        return
    handle = os.memfd_create("topology-bot-flows", os.MFD_CLOEXEC)
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(body)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
