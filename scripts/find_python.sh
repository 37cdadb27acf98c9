#!/bin/sh
# Prints the path of a Python 3.11-3.13 that can make environments, or says in one sentence what is missing.
#
# $PYTHON, when set, is the only one asked. A candidate counts when it runs, reports the right version and has
# venv and ensurepip. Only the shell's own commands are used, so that a bare PATH is enough.

# Prefixes the fixed folders below; the tests set it, so that the machine's own Pythons do not answer.
root=${PYTHON_SEARCH_ROOT:-}

# Prints the interpreter itself, not a pyenv shim or another environment's link to it.
probe='
import os, sys
if not (3, 11) <= sys.version_info[:2] < (3, 14):
    print("%d.%d" % sys.version_info[:2])
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    print("%d.%d" % sys.version_info[:2])
    sys.exit(4)
if sys.platform == "darwin" and os.uname().machine != "arm64":
    print("%d.%d" % sys.version_info[:2])
    sys.exit(5)
print(sys._base_executable)
'

old=''      # the version of a Python that is too old or too new
bare=''     # the version of a Python that lacks venv or ensurepip
intel=''    # the version of a Python for Intel Macs

try() {
    path=$(command -v "$1" 2>/dev/null) || return 0
    answer=$("$path" -I -c "$probe" 2>/dev/null)
    case $? in
        0) printf '%s\n' "$answer"; exit 0 ;;
        3) old=$answer ;;
        4) bare=$answer ;;
        5) intel=$answer ;;
    esac
}

fail() {
    printf '%s\n' "$1" >&2
    exit 2
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
    [ -z "$old" ] || fail "PYTHON=$PYTHON is Python $old, but 3.11, 3.12 or 3.13 is needed: name another one, or leave PYTHON out to have one found."
    [ -z "$bare" ] || fail "PYTHON=$PYTHON lacks venv or ensurepip: on Debian and Ubuntu install them with 'sudo apt-get install -y python$bare-venv', or name another Python."
    [ -z "$intel" ] || fail "PYTHON=$PYTHON is for Intel, but MLX needs Apple silicon and a Python for it: name another one, or leave PYTHON out to have one found."
    fail "PYTHON=$PYTHON does not run: name a Python 3.11, 3.12 or 3.13, or leave PYTHON out to have one found."
fi

# The environment stays with the Python that it was made by, whatever else is installed later.
try .venv/bin/python

for name in python3.13 python3.12 python3.11 python3 python; do
    try "$name"
done
for version in 3.13 3.12 3.11; do
    for path in \
        "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/$version[.-]*/bin/python \
        "$root/opt/homebrew/bin/python$version" \
        "$root/usr/local/bin/python$version" \
        "$root/usr/bin/python$version" \
        "$root/Library/Frameworks/Python.framework/Versions/$version/bin/python$version"
    do
        try "$path"
    done
done

if [ -n "$intel" ]; then
    why="MLX needs Apple silicon, and the only Python $intel here is for Intel"
elif [ -n "$bare" ]; then
    why="Python $bare is here, but its venv module is missing"
elif [ -n "$old" ]; then
    why="Python 3.11, 3.12 or 3.13 is needed, and only Python $old was found"
else
    why="Python 3.11, 3.12 or 3.13 is needed, and none was found"
fi
if command -v apt-get >/dev/null 2>&1; then
    if [ -n "$bare" ]; then
        packages="python$bare-venv"
    elif [ -n "$old" ]; then
        packages="python3.11 python3.11-venv"
    else
        packages="python3 python3-venv"
    fi
    fail "$why: install it with 'sudo apt-get install -y $packages', then run the same command again."
elif command -v dnf >/dev/null 2>&1; then
    fail "$why: install it with 'sudo dnf install -y python3.12', then run the same command again."
elif command -v sw_vers >/dev/null 2>&1; then
    fail "$why: install it with 'brew install python@3.12' or from https://www.python.org/downloads/, then run the same command again."
fi
fail "$why: install Python 3.12, then run the same command again."
