#!/usr/bin/env bash
# Makes the virtual environment: environment.sh PYTHON DIRECTORY
set -euo pipefail
python=$1 venv=$2
if ! command -v "$python" >/dev/null; then
  echo "No $python here. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv), or say make PYTHON=/path/to/python." >&2
  exit 2
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$("$python" --version) is too old: topology-bot needs Python 3.11 or newer. Say make PYTHON=/path/to/python." >&2
  exit 2
fi
# Debian splits venv off into a package of its own.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing python3-venv…"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    echo "Python's venv module is missing. Debian: sudo apt-get install python3-venv" >&2
    exit 2
  fi
fi
rm -rf "$venv"
"$python" -m venv "$venv"
