"""The words of the question: how much counters grew in one window, summed by the labels that matter. Pure.

Comes in: a counter's name, the labels to sum by, the window's length. Goes out: one PromQL expression, to be evaluated at
the window's end. What is lost: calls between a process's last scrape before it restarts and the restart; what a new scrape
target had counted before it was first scraped; the part before a restart of a counter that passes its old value within
the window the restart fell into.

`increase()` is not used. It sees only samples inside its window, so what was counted between the last sample of one
window and the first of the next is lost, and it extrapolates to make up for it: right on average for steady traffic, wrong
for the single call that makes an edge. Here a window starts from the last sample *before* it, so that consecutive windows
join without a gap and add up to what was counted, to the call.
"""

from __future__ import annotations

from collections.abc import Sequence

TARGET_LABELS = ("cluster", "instance", "job")
"""What a series and the `up` of its scrape target have in common; `cluster` where several share one query API."""

# L is a series' last sample in the window, P its last one before it. The three arms, of which a series takes one:
#   it grew: L - P;
#   it was reset: all up to the reset (the highest sample of the window), and all since (L). `resets` has to agree, since two
#     replicas of one series behind a de-duplicating proxy can step back a little without any reset;
#   it is new: all of L, but only where its target was scraped before without it. Elsewhere it may be old and only new to
#     this server, and L the count of a year.
_INCREASE = """\
sum by ({labels}) (
  (last_over_time({metric}[{window}s]) - last_over_time({metric}[{lookback}s] offset {window}s) >= 0)
  or
  (
    last_over_time({metric}[{window}s])
    + clamp_min(max_over_time({metric}[{window}s]) - last_over_time({metric}[{lookback}s] offset {window}s), 0)
    and resets({metric}[{both}s]) > 0
  )
  or
  (
    (last_over_time({metric}[{window}s]) unless last_over_time({metric}[{lookback}s] offset {window}s))
    and on ({target}) (max_over_time(up[{lookback}s] offset {window}s) == 1)
  )
) > 0"""


# Buckets outnumber the calls' counters by twenty to one, and only their proportions are read: the first arm alone, at a third
# of the server's work. A process's first minute, and the minute of a restart, have no latencies then.
_GROWTH = """\
sum by ({labels}) (
  last_over_time({metric}[{window}s]) - last_over_time({metric}[{lookback}s] offset {window}s) >= 0
) > 0"""


def increase(metric: str, labels: Sequence[str], window: int, lookback: int) -> str:
    """The expression for one counter.

    `window` and `lookback` are seconds: after a silence (failed scrapes, a restart) longer than `lookback` a series starts anew.
    Needs `last_over_time`, so Prometheus 2.26 or later, or anything that speaks its language.
    """
    both, target = window + lookback, ", ".join(TARGET_LABELS)
    return _INCREASE.format(
        metric=metric, labels=", ".join(labels), window=window, lookback=lookback, both=both, target=target
    )


def growth(metric: str, labels: Sequence[str], window: int, lookback: int) -> str:
    """The same for the buckets of histograms: cheaper, and without new and restarted processes."""
    return _GROWTH.format(metric=metric, labels=", ".join(labels), window=window, lookback=lookback)


def any_of(metrics: Sequence[str]) -> str:
    """A selector for every series of any of these metrics."""
    return '{__name__=~"' + "|".join(sorted(metrics)) + '"}'
