#!/usr/bin/env bash
# The tests start real programs: Prometheus, Alertmanager, PostgreSQL, Chromium; pictures need a font. Installs what is missing where it may
# (Debian, as root); otherwise says what is missing, and the tests that need it are skipped with that reason.
set -uo pipefail
declare -A needs=(
  [prometheus]=/usr/bin/prometheus
  [prometheus-alertmanager]=/usr/bin/prometheus-alertmanager
  [postgresql]=/usr/share/postgresql-common/pg_wrapper
  [chromium]=/usr/bin/chromium
  [fonts-dejavu-core]=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
)
missing=()
for package in "${!needs[@]}"; do
  [ -e "${needs[$package]}" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing ${missing[*]} for the tests…"
  if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    exit 0
  fi
  echo "Could not install them; the tests that need them will be skipped." >&2
  exit 0
fi
echo "Not installed: ${missing[*]}. The tests that need them will be skipped. Debian: sudo apt-get install ${missing[*]}" >&2
