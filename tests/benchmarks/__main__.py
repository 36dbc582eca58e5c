"""`make bench`: every benchmark, one after the other, each printing its figures beside their targets."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "trace_ingest",
    "flow_ingest",
    "alert_path",
    "three_layers",
    "history",
    "causes",
    "storm",
    "pictures",
    "pages",
)


def main() -> int:
    """Run them all, or those named on the command line; the exit code says whether each ran, never whether it was fast."""
    worst = 0
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False).returncode)
    return worst


sys.exit(main())
