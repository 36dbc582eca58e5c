"""Cases read, graded and set beside plain methods; the command that does it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.cli import cli
from bot.enrich.causes.affected import affected
from bot.grading.cases import BadCase, case, read
from bot.grading.plain import METHODS
from bot.grading.report import Marks, answers, calibration_error, grade, jaccard

AT = 1_700_000_000


def made(number: int = 0, **more: Any) -> dict[str, Any]:
    """web calls cart calls db, and db fails."""

    def jump(usual: float, now: float) -> list[list[float]]:
        return [[AT - 60 * back, usual if back > 2 else now] for back in range(30, -1, -1)]

    series = {
        name: {"error_ratio": jump(0.0, failing), "requests": jump(100.0, 100.0)}
        for name, failing in (("web", 0.2), ("cart", 0.2), ("db", 0.2), ("login", 0.0))
    }
    edges = [["web", "cart"], ["web", "login"], ["cart", "db"]]
    return {
        "case_id": f"made/{number}", "dataset": "made", "graph": {"nodes": list(series), "edges": edges},
        "alert": {"service": "web", "metric": "error_ratio", "ts": AT}, "baseline": {}, "series": series, "events": [],
        "root_cause": ["db"], "blast_radius": ["cart", "web"],
    } | more  # fmt: skip


def write(path: Path, *cases: dict[str, Any]) -> Path:
    text = "\n".join(json.dumps(one) for one in cases).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_a_case_is_ranked_and_graded_beside_plain_methods() -> None:
    found = grade(answers(case(made(number)) for number in range(3)))

    assert found is not None
    assert found.cases == 3
    assert found.ours == Marks(1.0, 1.0, 1.0)
    assert found.plain["self"].top_1 == 0.0
    assert found.plain["deepest"].top_1 == 1.0
    assert set(found.plain) == set(METHODS) == {"self", "deepest", "PPR", "N-sigma"}
    assert found.radius == 1.0
    assert found.calibration < 0.5
    assert found.median_ms > 0


def test_a_case_without_a_cause_is_ranked_but_not_graded() -> None:
    assert grade(answers([case(made(root_cause=None))])) is None


def test_who_is_hit_follows_symptoms_and_where_nobody_measures_the_map() -> None:
    situation = case(made()).situation
    assert affected(situation, ["db"]) == ("cart", "web")
    unmeasured = case(made(series={})).situation
    assert affected(unmeasured, ["db"]) == ("cart", "web")
    assert affected(unmeasured, ["login"]) == ("web",)


def test_calibration_and_overlap() -> None:
    assert calibration_error([(0.95, True)] * 19 + [(0.95, False)]) == pytest.approx(0.0)
    assert calibration_error([(0.9, False)] * 4) == pytest.approx(0.9)
    assert calibration_error([]) == 0.0
    assert jaccard("ab", "bc") == pytest.approx(1 / 3)
    assert jaccard("", "") == 1.0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "AttributeError"),
        ('{"case_id": "x"}', "'alert'"),
        ('{"case_id": "x", "alert": {"service": "a"}, "edge_series": {"a b": {}}}', "caller->callee"),
        ('{"case_id": "x", "alert": {"service": "a"}, "series": {"a": {"m": [[1]]}}}', "ValueError"),
        ('{"case_id": "x", "alert": {"service": "a", "ts": "noon"}}', "noon"),
    ],
)
def test_a_line_that_is_no_case_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(made()) + "\n\n" + line)
    with pytest.raises(BadCase, match=r"cases\.jsonl:3: not a case: .*" + why):
        list(read(path))


def test_gaps_nulls_and_unknown_events_are_read_over() -> None:
    odd = made(
        series={"db": {"error_ratio": [[AT, None], [AT - 60, 0.5]]}},
        events=[{"src": "smoke", "service": "db"}, {"src": "log"}],
    )
    ((_, verdict, _),) = answers([case(odd)])
    assert {one.service for one in verdict.candidates} == {"cart", "db", "login", "web"}
    assert case(odd).situation.events == ()


def test_evaluate_prints_grades_and_writes_predictions(tmp_path: Path) -> None:
    first = write(tmp_path / "one.jsonl", made(1), made(2))
    second = write(tmp_path / "two.jsonl.gz", made(3, root_cause=None))
    out = tmp_path / "predictions.jsonl"

    result = CliRunner().invoke(cli, ["evaluate", str(first), str(second), "--predictions", str(out), "--json"])

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["ranked"] == 3
    assert found["files"]["one.jsonl"]["ours"]["top_1"] == 1.0
    assert list(found["files"]) == ["one.jsonl"]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["case_id"] for line in lines] == ["made/1", "made/2", "made/3"]
    assert lines[2]["ranking"][0]["service"] == "db"
    assert 0.3 < lines[2]["ranking"][0]["p"] <= 0.95


def test_evaluate_for_people(tmp_path: Path) -> None:
    path = write(tmp_path / "one.jsonl", made(1))
    result = CliRunner().invoke(cli, ["evaluate", str(path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "N-sigma" in result.stdout
    unlabelled = write(tmp_path / "none.jsonl", made(1, root_cause=[]))
    assert "none of them labelled" in CliRunner().invoke(cli, ["evaluate", str(unlabelled)]).stdout
