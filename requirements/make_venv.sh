#!/bin/sh
# make_venv.sh FOLDER: a virtual environment, of PYTHON or of the Python that find_python.sh prints.
# Does nothing where a whole one is there already; refuses where that is of another version than the PYTHON asked for.
set -eu

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# Written last: a folder without it was interrupted, or its Python had no ensurepip.
whole=$1/.whole

if [ -e "$whole" ] && "$1/bin/python" -c '' 2>/dev/null; then
    [ -n "${PYTHON:-}" ] || exit 0
    python=$("$(dirname "$0")/find_python.sh")
    if [ "$(version_of "$python")" != "$(version_of "$1/bin/python")" ]; then
        echo "$1 is of Python $(version_of "$1/bin/python"), and PYTHON=$PYTHON is another" >&2
        echo "keep both: make VENV=.venv-$(version_of "$python") PYTHON=$PYTHON ...; or remove it first: make clean" >&2
        exit 1
    fi
    exit 0
fi
python=$("$(dirname "$0")/find_python.sh")
rm -rf "$1"
"$python" -m venv "$1"
touch "$whole"
