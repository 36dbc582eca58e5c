"""Which edges of a whole map are above the display threshold, all of them at once.

Comes in: when each layer's edge was last seen, by position. Goes out: one mark for each. The same arithmetic as
`bot.graph.sighting.confidence`, on columns; what a layer only estimated takes more than arithmetic, and is left to that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bot.counts import Floats
from bot.graph import sighting
from bot.graph.edge_index import LAYERS, EdgeIndex

HIDDEN, SHOWN, UNDECIDED = 0, 1, 2


def marks(index: EdgeIndex, last_seen: Floats, moment: float, span: float = 0.0) -> NDArray[np.int8]:
    """By position: `HIDDEN`, `SHOWN`, or `UNDECIDED` where an estimate has a say. Of what was not seen at all (0), nothing.

    What was seen in the last `span` seconds, or within its own habit, is shown; of one edge, every layer's part is marked alike.
    """
    size = len(last_seen)
    habits, estimated, pairs = index.habits[:size], index.estimated[:size], index.pairs[:size]
    alive = last_seen > 0
    fresh_for = sighting._FRESH * habits
    over = np.maximum(moment - last_seen - sighting._GRACE_SECONDS - fresh_for, 0.0)
    base = np.array([sighting._BASE_CONFIDENCE[layer] for layer in LAYERS])
    words = base[index.layers[:size]] * 0.5 ** (over / np.maximum(fresh_for, 1.0))
    doubt = np.exp(np.bincount(pairs, np.log1p(-words) * alive))
    shown = 1.0 - doubt >= sighting.SHOWN
    guessed = np.bincount(pairs, estimated & alive) > 0
    sure = alive & ~estimated & (moment - last_seen <= np.maximum(habits, span))
    certain = np.bincount(pairs, sure) > 0
    return np.where(certain, SHOWN, np.where(guessed, UNDECIDED, shown)).astype(np.int8)[pairs]
