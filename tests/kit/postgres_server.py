"""A private PostgreSQL from Debian's programs: its own folder, its own port, gone when the test is."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.kit.bots import free_port
from tests.kit.debian import require_postgresql


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start it and give the address of an empty database; skips where PostgreSQL is not installed."""
    programs = require_postgresql()
    folder = Path(tempfile.mkdtemp(prefix="topology-bot-pg-"))
    port = free_port()
    try:
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = str(folder / "data")
        _run([f"{programs}/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], folder)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        _run([f"{programs}/pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start"], folder)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run([f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str], folder: Path) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    # Not captured: the server inherits these, and a pipe would never end.
    subprocess.run(command, cwd=folder, user=user, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
