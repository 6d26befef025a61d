#!/bin/sh
# Prints the Python to make an environment of: the first that runs and can make one, on PATH and where pyenv and uv
# install theirs; 3.11 first, which EMR's nodes have, then the newest. PYTHON is a version (3.12) or a path.
set -u

VERSIONS='3.11 3.13 3.12'
SUPPORTED='fruits runs on Python 3.11, 3.12 and 3.13'
# A pyenv shim is on PATH whether or not its version can run, so each candidate is executed.
PROBE='import sys, sysconfig; print("%d.%d" % sys.version_info[:2], bool(sysconfig.get_config_var("Py_GIL_DISABLED")))'
without_venv=''

# usable PYTHON VERSION: whether it is such a version and makes environments.
usable() {
    [ "$("$1" -c "$PROBE" 2>/dev/null)" = "$2 False" ] || return 1
    # Debian's Python has ensurepip in the package python3-venv.
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return 0
    without_venv=$2
    return 1
}

candidates() {
    (
        IFS=:
        for folder in $PATH; do
            echo "${folder:-.}/python$1"
            echo "${folder:-.}/python3"
        done
    )
    ls -d "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/"$1".*/bin/python"$1" \
        "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/uv/python}"/cpython-"$1".*/bin/python"$1" 2>/dev/null
}

refuse() {
    echo "$1" >&2
    echo "$2" >&2
    exit 1
}

case ${PYTHON:-} in
'') ;;
3.11 | 3.12 | 3.13) VERSIONS=$PYTHON ;;
python3.11 | python3.12 | python3.13) VERSIONS=${PYTHON#python} ;;
*)
    for version in $VERSIONS; do
        usable "$PYTHON" "$version" && command -v "$PYTHON" && exit
    done
    [ -z "$without_venv" ] || refuse "$PYTHON makes no virtual environments" \
        "on Debian and Ubuntu: apt-get install python$without_venv-venv"
    refuse "PYTHON=$PYTHON does not run, or is another version: $SUPPORTED" "name one of these, or leave PYTHON out"
    ;;
esac

list=$(mktemp)
trap 'rm -f "$list"' EXIT
for version in $VERSIONS; do
    candidates "$version" > "$list"
    while IFS= read -r python; do
        if [ -x "$python" ] && usable "$python" "$version"; then
            echo "$python"
            exit
        fi
    done < "$list"
done
[ -z "$without_venv" ] || refuse "Python $without_venv is installed without what makes virtual environments" \
    "on Debian and Ubuntu: apt-get install python$without_venv-venv"
[ -z "${PYTHON:-}" ] || refuse "there is no Python $VERSIONS on PATH, in pyenv or in uv that runs" \
    "install it, or give its path: make PYTHON=/path/to/python$VERSIONS ..."
refuse "$SUPPORTED, and none of them was found" \
    "install one (Debian and Ubuntu: apt-get install python3 python3-venv), or give its path: make PYTHON=/path/to/python3.12 ..."
