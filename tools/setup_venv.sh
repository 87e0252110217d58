#!/usr/bin/env bash
# Sets up .venv beside this repository's pyproject.toml, with the versions of constraints.txt.
#
#   bash tools/setup_venv.sh test,lint,viewer     # extras of pyproject.toml
#   PYTHON=python3.12 bash tools/setup_venv.sh viewer
#
# Nothing is done where .venv already holds what pyproject.toml and constraints.txt ask for: a digest of both is kept in
# .venv/.ready, so that clocks and checkouts do not matter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly extras="${1:-viewer}"
readonly venv=.venv
readonly development="test,lint,viewer"

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  next: %s\n' "$line" >&2; done
    exit 1
}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

choose_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then
        suits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13"
        echo "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11; do
        if suits "$name"; then
            echo "$name"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 was found on PATH ($(python3 --version 2>&1 || echo 'no python3'))" \
        "install one, such as: apt-get install python3 python3-venv" \
        "or name one: make PYTHON=/path/to/python3.12 ..."
}

has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Debian and Ubuntu keep ensurepip in a package of its own, one for each Python.
provide_venv() {
    local python="$1" package
    has_venv "$python" && return
    package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    bash tools/system_packages.sh --install "$package" || true
    has_venv "$python" || fail "$python cannot make virtual environments" "apt-get install $package (as root)"
}

make_venv() {
    local python
    if [ -x $venv/bin/python ] && suits $venv/bin/python && $venv/bin/python -m pip --version >/dev/null 2>&1; then
        if [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of $venv/bin/python)" ]; then
            return
        fi
    fi
    python="$(choose_python)"
    provide_venv "$python"
    say "making $venv with $("$python" --version) ($python)"
    "$python" -m venv --clear $venv
}

version_of() { "$1" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null || true; }

# What .venv must have been set up for. The place belongs to it: scripts and the editable install hold absolute paths.
wanted() {
    {
        pwd -P
        version_of $venv/bin/python
        cat pyproject.toml constraints.txt tools/setup_venv.sh
    } | sha256sum | cut -d' ' -f1
}

is_ready() {
    local state
    [ -f $venv/.ready ] || return 1
    state="$(cat $venv/.ready)"
    # Development holds everything serving needs.
    [ "$state" = "$(wanted) $extras" ] || [ "$state" = "$(wanted) $development" ]
}

make_venv
if is_ready; then
    exit 0
fi
rm -f $venv/.ready
say "installing the project and [$extras] into $venv, versions of constraints.txt (about a minute the first time)"
begin=$SECONDS
$venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --timeout 60 \
    --constraint constraints.txt --editable ".[$extras]" </dev/null ||
    fail "pip could not install the project; its own words stand above" \
        "check that the package index can be reached (a mirror is named by PIP_INDEX_URL), then run this again"
$venv/bin/python -m pip check --quiet --disable-pip-version-check >/dev/null ||
    say "note: packages in $venv do not fit each other: $($venv/bin/python -m pip check 2>&1 | head -n 3)"
echo "$(wanted) $extras" >$venv/.ready
say "$venv is ready ($((SECONDS - begin)) s)"
