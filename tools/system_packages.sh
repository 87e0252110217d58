#!/usr/bin/env bash
# Installs the system packages a task needs and this machine lacks, when run as root on Debian or Ubuntu; says what to
# install otherwise, and succeeds: tests that need something absent skip, and fail where CI=true.
#
#   bash tools/system_packages.sh test            # Chromium for the end-to-end tests, PostgreSQL with PostGIS, Mosquitto
#   bash tools/system_packages.sh bench           # Chromium, PostGIS, nginx and wrk for the measurements
#   bash tools/system_packages.sh --install NAME…  # these packages
set -euo pipefail

say() { printf 'system: %s\n' "$*"; }

# Also in /usr/sbin, which is not on everybody's PATH.
present() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

any_present() {
    local name
    for name in "$@"; do
        if present "$name"; then return 0; fi
    done
    return 1
}

has_cjk_font() {
    present fc-list && [ -n "$(fc-list :lang=zh family 2>/dev/null | head -n 1)" ]
}

has_postgis() {
    local control
    for control in /usr/share/postgresql/*/extension/postgis.control /usr/pgsql-*/share/extension/postgis.control; do
        if [ -f "$control" ]; then return 0; fi
    done
    return 1
}

missing_packages() {
    any_present "${TWIN_CHROMIUM:-chromium}" chromium chromium-browser google-chrome google-chrome-stable || echo chromium
    # So that Chinese names in screenshots are letters, not boxes.
    has_cjk_font || printf '%s\n' fontconfig fonts-noto-cjk
    # For a private cluster of the registry's tests.
    has_postgis || printf '%s\n' postgresql postgresql-postgis
    # A private broker for the tests of events.
    present mosquitto || echo mosquitto
    if [ "$1" = bench ]; then
        present nginx || echo nginx
        present wrk || echo wrk
    fi
}

install_packages() {
    if [ "$(id -u)" != 0 ] || ! present apt-get; then
        say "missing: $*"
        say "  next: sudo apt-get install --no-install-recommends $*"
        return 0
    fi
    say "installing $* (apt-get)"
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-get update -qq </dev/null >/dev/null 2>&1; then
        say "apt-get update failed; trying with the package lists at hand"
    fi
    if ! apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null >/tmp/twin-apt.$$ 2>&1; then
        tail -n 5 /tmp/twin-apt.$$
        say "apt-get install failed for: $*"
    fi
    rm -f /tmp/twin-apt.$$
}

case "${1:-}" in
--install)
    shift
    install_packages "$@"
    ;;
test | bench)
    mapfile -t packages < <(missing_packages "$1")
    if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi
    ;;
*)
    echo "usage: tools/system_packages.sh test | bench | --install NAME..." >&2
    exit 2
    ;;
esac
