"""Whatever order spans come in, in whatever batches, however late or often: the sum of all deltas is the whole trace's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.layers.linker import link
from bot.layers.trace import TraceLayer
from bot.model import Tally
from tests.layers.traces import START, C, L, M, Made, P, S, batch, otlp, trace, zipkin

IDS = "abcdefgh"
SERVICES = st.sampled_from(["web", "cart", "pay", None])
KINDS = st.sampled_from([C, S, L, P, M])
Numbers = dict[tuple[int, str, str], tuple[float, float, int, float]]


@st.composite
def otlp_spans(draw: st.DrawFn) -> list[Made]:
    """Spans with an id each, parents anywhere, missing or in a ring."""
    return [
        otlp(
            span_id,
            draw(st.sampled_from(["", *IDS, "gone"])),
            draw(KINDS),
            draw(SERVICES),
            draw(SERVICES),
            failed=draw(st.booleans()),
            start=START + draw(st.integers(0, 3)) * 30_000_000_000,
            weight=draw(st.sampled_from([1.0, 4.0])),
        )
        for span_id in draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1))
    ]


@st.composite
def zipkin_spans(draw: st.DrawFn) -> list[Made]:
    """Clients, their servers under the same or another id, local spans; the parent is an earlier span or missing."""
    made: list[Made] = []
    for position, span_id in enumerate(draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1))):
        parent = draw(st.sampled_from(["", "gone", *IDS[:position]]))
        service, other = draw(SERVICES), draw(SERVICES)
        kind = draw(KINDS)
        made.append(zipkin(span_id, parent, kind, service, draw(SERVICES), failed=draw(st.booleans())))
        if kind == C and draw(st.booleans()):
            made.append(zipkin(span_id, parent, S, other, shared=draw(st.booleans()), at=("10.0.0.9", "", 0)))
    return made


ANY_SPANS = st.one_of(otlp_spans(), zipkin_spans())


def total(deltas: Sequence[dict[int, dict[tuple[str, str], Tally]]]) -> Numbers:
    """Sum of windows, without the zeros."""
    sums: dict[tuple[int, str, str], Tally] = {}
    for windows in deltas:
        for minute, edges in windows.items():
            for (caller, callee), tally in edges.items():
                sums.setdefault((minute, caller, callee), Tally()).add(tally)
    numbers = {
        key: (round(t.calls, 6), round(t.errors, 6), t.sampled, round(t.latency_us, 3)) for key, t in sums.items()
    }
    return {key: number for key, number in numbers.items() if any(number)}


def at_once(spans: Sequence[Made]) -> Numbers:
    layer = TraceLayer()
    layer.add(batch(*spans), now=0.0)
    return total([layer.flush(0.0).windows])


@settings(max_examples=300, deadline=None)
@given(ANY_SPANS, st.data())
def test_the_sum_of_all_deltas_is_what_linking_the_complete_trace_gives(spans: list[Made], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(spans), max_size=4))
    arriving = data.draw(st.permutations(spans + again))
    layer = TraceLayer(settle=1, settle_max=2, lifetime=1_000)
    deltas, now = [], 0.0
    while arriving:
        size = data.draw(st.integers(1, len(arriving)))
        layer.add(batch(*arriving[:size]), now)
        arriving = arriving[size:]
        now += data.draw(st.sampled_from([0.0, 0.5, 1.0, 30.0]))
        deltas.append(layer.collect(now).windows)
    deltas.append(layer.flush(now).windows)

    assert total(deltas) == at_once(spans)
    assert layer.open_spans == len(trace(*spans))


@settings(max_examples=300, deadline=None)
@given(otlp_spans())
def test_plain_traces_link_the_same_the_short_way_and_the_long_way(spans: list[Made]) -> None:
    found = trace(*spans)

    assert Counter(link(found, tangled=False)) == Counter(link(found, tangled=True))


@settings(max_examples=200, deadline=None)
@given(ANY_SPANS)
def test_linking_leaves_the_spans_as_they_were(spans: list[Made]) -> None:
    found = trace(*spans)
    before = dict(found)
    link(found)

    assert found == before


@settings(max_examples=100, deadline=None)
@given(st.lists(otlp_spans(), min_size=1, max_size=6), st.integers(1, 30), st.integers(1, 12))
def test_caps_cut_pairing_short_but_never_hold_more_nor_give_less(
    traces: list[list[Made]], max_spans: int, max_trace_spans: int
) -> None:
    layer = TraceLayer(max_spans=max_spans, max_trace_spans=max_trace_spans)
    for number, spans in enumerate(traces):
        for made in spans:
            layer.add(batch(made, trace_id=str(number)), now=float(number))
            assert layer.open_spans <= max_spans
    servers = sum(made[1][1] == S and made[1][2] is not None for spans in traces for made in spans)
    given_servers = sum(tally.sampled for edges in layer.flush(99.0).windows.values() for tally in edges.values())

    assert given_servers >= servers, "a server makes a link even where its caller was let go"
