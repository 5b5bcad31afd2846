#!/usr/bin/env bash
# Sets up .venv and a headless GL library: scripts/setup.sh run|test|dev
#
#   run   what the program needs          (make quickstart)
#   test  the same, and what tests need   (make test)
#   dev   the same, and what linting needs (make lint, make setup)
#
# A second call returns at once, unless pyproject.toml, setup.py or constraints.txt changed.
# PYTHON names the interpreter to build .venv from (python3 if not set).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

level=${1:-dev}
case $level in
    run) rank=1 extras="" ;;
    test) rank=2 extras="[all,test]" ;;
    dev) rank=3 extras="[all,dev]" ;;
    *) echo "usage: scripts/setup.sh run|test|dev" >&2; exit 2 ;;
esac
venv_python=.venv/bin/python
stamp=.venv/.installed
log=.venv/set-up.log
# Of pip's output, what takes long: downloads of 10 MB or more, and the unpacking.
progress='s#^ +Downloading ([^ ]*/)?([^/ -]+)-[0-9][^ ]* \(([0-9]{2,}\.[0-9] MB|[0-9.]+ GB)\).*#  downloading \2 (\3)#p
s#^Installing collected packages.*#  unpacking#p'

say() { echo "[set-up] $*"; }
fail() { printf '[set-up] %s\n' "$@" >&2; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Installs Debian packages as root; elsewhere prints the command and stops.
need_packages() {
    local install="apt-get install -y --no-install-recommends $*" why output
    why="Missing here: $* (Python's venv module, rendering without a display, or a browser)."
    if ! command -v apt-get >/dev/null; then
        fail "$why" "These are Debian's names. Install the like, then run the same command again."
    elif [ "$(id -u)" -ne 0 ]; then
        fail "$why" "Install it with:" "    sudo apt-get update && sudo $install" \
            "then run the same command again."
    fi
    say "Installing $*"
    # An update can fail because of one source that is not needed here; the install tells.
    if ! output=$({ apt-get update || true; DEBIAN_FRONTEND=noninteractive $install; } \
        2>&1 </dev/null); then
        tail -n 20 <<<"$output" >&2
        fail "This failed: apt-get update && $install"
    fi
}

has_browser() { command -v chromium || command -v google-chrome; } >/dev/null

# A backend other than EGL that the user chose is theirs to see to, and macOS has its own.
gl_works() {
    case "$(uname -s):${MUJOCO_GL:-}" in
        Linux:glfw | Linux:osmesa) return 0 ;;
        Linux:*) "$1" scripts/check_gl.py >/dev/null ;;
    esac
}

venv_works() {
    [ -x $venv_python ] && new_enough $venv_python && $venv_python -m pip --version
} >/dev/null 2>&1

setup_system() {
    local python=${PYTHON:-python3} version missing=()
    if venv_works; then
        python=$venv_python
    elif ! command -v "$python" >/dev/null; then
        fail "There is no $python here; Python 3.11 or newer is needed." \
            "Install it, or name another one: make PYTHON=/path/to/python3 ..."
    elif ! new_enough "$python"; then
        fail "$python is $("$python" --version 2>&1), but Python 3.11 or newer is needed." \
            "Name another one: make PYTHON=/path/to/python3 ..."
    fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$python" != $venv_python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        missing+=("python$version-venv")
    fi
    if ! gl_works "$python" 2>/dev/null; then
        missing+=(libegl1 libgl1-mesa-dri libopengl0)
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        need_packages "${missing[@]}"
        gl_works "$python" || fail "Rendering without a display still fails, for the reason above."
    fi
    # Tests open a report in a browser; without one they are skipped, and say so.
    if [ "$rank" -ge 2 ] && [ "$(id -u)" -eq 0 ] && ! has_browser && command -v apt-get >/dev/null
    then
        (need_packages chromium) || say "No browser: tests that need one will be skipped."
    fi
    if [ "$python" != $venv_python ]; then
        say "Creating .venv with Python $version"
        "$python" -m venv --clear .venv
    fi
}

wanted="$rank $PWD $(cat pyproject.toml setup.py constraints.txt | cksum)"
if [ -x $venv_python ] && [ -f $stamp ]; then
    installed=$(cat $stamp)
    if [ "${installed%% *}" -ge "$rank" ] && [ "${installed#* }" = "${wanted#* }" ]; then exit 0; fi
fi

start=$SECONDS
setup_system
rm -f $stamp
say "Installing the packages into .venv (a few minutes the first time)"
# --no-compile: Python compiles the modules that are used when they are first imported.
if ! $venv_python -m pip install --no-compile --no-input --disable-pip-version-check \
    -c constraints.txt -e ".$extras" 2>&1 </dev/null | tee "$log" | sed -u -n -E "$progress"; then
    grep -v '^WARNING' "$log" | tail -n 20 >&2
    fail "pip failed; its whole output is in $log"
fi
echo "$wanted" >$stamp
say "Ready in $((SECONDS - start)) s"
