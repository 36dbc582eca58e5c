"""`topology-bot evaluate`: ranks labelled cases and prints how often the ranking is right, beside plain methods."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bot.enrich.causes.metric_kinds import TABLE, MetricTable
from bot.grading.cases import Case, read
from bot.grading.report import Grades, answers, grade


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Grades by file, and of all together where there are several; `ranked` is how many cases were ranked."""

    grades: dict[str, Grades]
    ranked: int

    def stored(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {"ranked": self.ranked, "files": {name: one.stored() for name, one in self.grades.items()}}


def evaluate(paths: Sequence[Path], predictions: Path | None = None, table: MetricTable = TABLE) -> Evaluation:
    """Rank every case of every file; `table` says what metrics' names measure. Predictions are written whole or not at
    all. Raises BadCase and OSError."""
    grades, everything, lines = {}, [], []
    for path in paths:
        answered = list(answers(read(path), table))
        everything += answered
        lines += [_line(case, [(one.service, one.p) for one in verdict.candidates]) for case, verdict, _ in answered]
        if (found := grade(answered)) is not None:
            grades[path.name] = found
    if len(grades) > 1 and (together := grade(everything)) is not None:
        grades["all"] = together
    if predictions is not None:
        partial = predictions.with_name(predictions.name + ".partial")
        partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        partial.replace(predictions)
    return Evaluation(grades, len(everything))


def _line(case: Case, ranking: Sequence[tuple[str, float]]) -> str:
    ranked = [{"service": service, "p": round(p, 4)} for service, p in ranking]
    return json.dumps({"case_id": case.case_id, "ranking": ranked}, ensure_ascii=False)


def tables(found: Evaluation) -> tuple[Table, Table]:
    """The grades for people: ours, and the plain methods'."""
    ours = Table("file", "cases", "top-1", "top-3", "Avg@5", "calibration", "ms", "radius", box=None, pad_edge=False)
    methods = next(iter(found.grades.values())).plain
    plain = Table("top-1/top-3", *methods, box=None, pad_edge=False)
    for name, one in found.grades.items():
        radius = "–" if one.radius is None else f"{one.radius:.2f}"
        ours.add_row(
            name, str(one.cases), f"{one.ours.top_1:.2f}", f"{one.ours.top_3:.2f}", f"{one.ours.average_at_5:.2f}",
            f"{one.calibration:.2f}", f"{one.median_ms:.1f}", radius,
        )  # fmt: skip
        plain.add_row(name, *(f"{marks.top_1:.2f}/{marks.top_3:.2f}" for marks in one.plain.values()))
    return ours, plain
