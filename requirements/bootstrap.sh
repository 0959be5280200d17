#!/bin/sh
# Sets up .venv for `make`: bootstrap.sh demo | test | prove
#
# Needs Python 3.11 or newer and nothing else: where Debian's Python comes without venv or pip, they
# are fetched through apt. What is installed is pinned and hashed in *.txt beside this file; the
# package index is the one that pip is configured to use. A second run finds its stamp and ends.
set -eu

what=${1:?usage: bootstrap.sh demo|test|prove}
case $what in
    demo) files="requirements/runtime.txt requirements/demo.txt" ;;
    test) files="requirements/runtime.txt requirements/demo.txt requirements/dev.txt" ;;
    prove) files="requirements/runtime.txt requirements/demo.txt requirements/dev.txt requirements/prove.txt" ;;
    *) echo "bootstrap.sh: unknown set '$what': write demo, test or prove" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
root=$(pwd)
venv=$root/.venv
cache=$root/.cache
mkdir -p "$cache"

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Two makes at once (a demo beside the tests) take turns.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$cache/bootstrap.lock"
    flock 9
fi

# The place is part of it: a virtual environment does not survive being moved.
digest() { { printf '%s\n' "$root"; cat "$@"; } | sha256sum | cut -d' ' -f1; }
# shellcheck disable=SC2086 # the list is meant to be split
wanted=$(digest $files pyproject.toml)
stamp=$venv/.stamp-$what
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

good_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for python in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -n "$python" ] && good_python "$python"; then
            command -v "$python"
            return
        fi
    done
    die "needs Python 3.11 or newer; on Debian: apt-get install python3 (or name one: make PYTHON=…)"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

# Debian keeps ensurepip in a package of its own.
install_venv_package() {
    can_be_root && command -v apt-get >/dev/null 2>&1 || return 1
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    say "installing $package with apt-get"
    as_root apt-get install -y -q --no-install-recommends "$package" </dev/null && return
    as_root apt-get update -q </dev/null || return 1
    as_root apt-get install -y -q --no-install-recommends "$package" </dev/null
}

# Without root: a virtual environment without pip, and pip from Debian's wheel.
make_venv_from_wheel() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
        die "$python has no ensurepip; install its venv package, or run as a user who may"
    say "unpacking pip from Debian's package python3-pip-whl in .cache"
    sh requirements/debian.sh --unpack python3-pip-whl || die "could not fetch python3-pip-whl with apt-get"
    wheel=$(ls "$cache"/debian/root/usr/share/python-wheels/pip-*.whl)
    "$python" -m venv --clear --without-pip "$venv"
    "$venv/bin/python" "$wheel/pip" install -q --no-index "$wheel"
}

make_venv() {
    python=$(find_python)
    say "making .venv with $python ($("$python" -V 2>&1))"
    if "$python" -c 'import ensurepip; ensurepip.version()' 2>/dev/null || install_venv_package; then
        "$python" -m venv --clear "$venv"
    else
        make_venv_from_wheel
    fi
}

pip() {
    PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip "$@"
}

# Kept as it is where it works: a set that was installed before needs only what is new. The
# commands in bin name the place where they were made, so a moved environment is made again.
if ! { "$venv/bin/python" -m pip --version >/dev/null 2>&1 && good_python "$venv/bin/python" &&
    grep -qF "$venv/bin" "$venv/bin/pip" 2>/dev/null; }; then
    make_venv
fi

for file in $files; do
    say "installing $file (pinned, hashes checked)"
    pip install -q --progress-bar on --require-hashes -r "$file"
done
say "installing gatewayd itself"
pip install -q --no-deps --no-build-isolation -e .
printf '%s' "$wanted" >"$stamp"
say "ready"
