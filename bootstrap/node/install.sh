#!/usr/bin/env bash
# Makes the Python of a node: an EMR bootstrap action, also by itself. bootstrap/node/README.md says what it does and in which order.
#
# Everything is built beside the fixed path and shown there by one rename, so that the path never holds half an environment. A virtual
# environment cannot be moved, so the path is a link to the folder in which it was made.
set -Eeuo pipefail
export LC_ALL=C.UTF-8
umask 022 # EMR's hardened images have 027, and YARN's containers run as another user than root

readonly LOG=/var/log/fruits-bootstrap.log
readonly DEFAULTS=/etc/xdg/fruits/fruits.toml
readonly SPARK=/usr/lib/spark
readonly HADOOP=/etc/hadoop/conf
readonly ATTEMPTS=8 # with up to 2, 4, 8 ... 128 s between them: four minutes at most
readonly PATIENCE=3600 # seconds for another run of this script; EMR's own limit is about that
# AccessDenied is not among them: rights of a role that was just made come into force some seconds later.
readonly NOT_ON_S3='\((404|NoSuchBucket|NoSuchKey)\)'
readonly NOT_IN_DNF='No match for argument|Unable to find a match'
readonly WRONG_HASH='DO NOT MATCH THE HASHES|Hashes are required|must have their versions pinned'

usage() {
    cat <<'END'
usage: install.sh --bundle URL --sums SHA256 [--prefix DIR] [--input URL] [--output URL] [--tensorflow]

Installs fruits and what it needs for a node of a cluster, as a virtual environment of Python 3.11.

  --bundle URL     s3://BUCKET/PREFIX/ID, or a local folder, made by `python -m bootstrap`
  --sums SHA256    of the bundle's SHA256SUMS: everything that is installed is checked against it
  --prefix DIR     where the environment is. [default: /opt/fruits]
  --input URL      the default of `python -m fruits --input` on this node
  --output URL     the default of `python -m fruits --output` on this node
  --tensorflow     TensorFlow too, for `--engine keras`
  --help

The log is /var/log/fruits-bootstrap.log. Exit codes: 0 the environment is there, 1 it could not be made, 2 an argument was refused.
END
}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
say() { printf '%s %s\n' "$(now)" "$*" | tee -a "$LOG"; }
fail() { # reason, what to do
    printf '%s FAILED: %s; %s\n' "$(now)" "$1" "$2" | tee -a "$LOG" >&2
    exit 1
}
refuse() { # reason, what to do: before anything is written
    printf 'install.sh: %s; %s\n' "$1" "$2" >&2
    exit 2
}

bundle='' sums='' prefix=/opt/fruits input='' output='' tensorflow=''

read_arguments() {
    while (($#)); do
        case $1 in
            --bundle=* | --sums=* | --prefix=* | --input=* | --output=*)
                set -- "${1%%=*}" "${1#*=}" "${@:2}"
                ;;
            --bundle | --sums | --prefix | --input | --output)
                (($# > 1)) || refuse "$1 needs a value" 'see --help'
                printf -v "${1#--}" %s "$2"
                shift 2
                ;;
            --tensorflow)
                tensorflow=yes
                shift
                ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) refuse "there is no argument $1" 'see --help' ;;
        esac
    done
    bundle=${bundle%/}
    [[ $bundle =~ ^s3://[a-z0-9][a-z0-9.-]+/[^[:cntrl:]]+$ || -d $bundle ]] ||
        refuse "--bundle '$bundle' is neither s3://BUCKET/FOLDER nor a folder of this machine" 'python -m bootstrap makes one'
    [[ $sums =~ ^[0-9a-f]{64}$ ]] || refuse "--sums '$sums' is no SHA-256" 'give the one that was printed when the bundle was made'
    [[ $prefix =~ ^(/[A-Za-z0-9._-]+)+$ && ! $prefix =~ /\.\.?(/|$) ]] ||
        refuse "--prefix '$prefix' is no absolute path" 'give one such as /opt/fruits'
    [[ ! -e $prefix && ! -L $prefix || $(readlink "$prefix") == "$prefix.d/"* ]] ||
        refuse "$prefix is there, and not made by this script" 'move it away, or give another --prefix'
    local url
    for url in "$input" "$output"; do
        [[ ! $url =~ [[:cntrl:]\"\\] ]] || refuse "'$url' has quotes, backslashes or line ends" 'give a URL such as s3://BUCKET/Test'
    done
}

# Goes on trying what goes through a network: what it is called, a pattern of answers that another attempt would not change, a command.
patiently() {
    local what=$1 final=$2 attempt milliseconds
    shift 2
    for ((attempt = 1; ; attempt++)); do
        if "$@" >"$said" 2>&1; then
            return
        fi
        if ((attempt == ATTEMPTS)) || grep -qE "$final" "$said"; then
            show_said
            return 1
        fi
        # Half of it at random, so that a hundred nodes do not come back at once.
        milliseconds=$((500 * 2 ** attempt + RANDOM * 500 * 2 ** attempt / 32768))
        say "$what: attempt $attempt of $ATTEMPTS failed, the next in $((milliseconds / 1000)) s: $(last_words)"
        sleep "$((milliseconds / 1000)).$(printf %03d $((milliseconds % 1000)))"
    done
}

last_words() { sed '/^[[:space:]]*$/d' "$said" | tail -n 1 | cut -c -300; }
# The files of which sha256sum said that they are others than listed, or what was said last.
blamed() {
    local files
    files=$(sed -n 's/: FAILED.*//p' "$said" | paste -sd ' ')
    echo "${files:-$(last_words)}"
}
show_said() {
    local line
    tail -n 20 "$said" | while IFS= read -r line; do say "    $line"; done
}

# Whether what is at the path was made of this bundle, with these arguments, and is whole.
is_installed() {
    [[ -L $prefix && -f $prefix/READY ]] && [[ $(head -n 1 "$prefix/READY") == "$identity" ]] || return 1
    if usable "$prefix"; then
        return
    fi
    say "$prefix is not whole: installing again"
    show_said
    return 1
}

# As a user who is not root, as in YARN's containers.
usable() {
    { (cd "$1/lib/python3.11/site-packages" && sha256sum --check --strict --quiet "$1/models.sha256") &&
        (cd / && runuser -u nobody -- "$1/bin/python" -I -c 'import fruits'); } >"$said" 2>&1
}

find_python() {
    if ! command -v python3.11 >/dev/null; then
        command -v dnf >/dev/null || fail 'there is no python3.11 on PATH' 'install it (Debian: apt-get install python3.11 python3.11-venv)'
        say 'python3.11 is not there: installing it with dnf'
        patiently dnf "$NOT_IN_DNF" dnf install --assumeyes --quiet python3.11 python3.11-pip ||
            fail "dnf could not install python3.11: $(last_words)" "see $LOG; a private subnet needs the endpoint of S3, where they are"
    fi
    python3.11 -c 'import ensurepip, venv' >"$said" 2>&1 ||
        fail "$(command -v python3.11) makes no virtual environments: $(last_words)" 'on Debian: apt-get install python3.11-venv'
}

fetch() { # into this folder
    local missing=$bundle/SHA256SUMS
    if [[ $bundle == s3://* ]]; then
        command -v aws >/dev/null || fail 'there is no aws on PATH' "install the AWS CLI, or give a local folder as --bundle"
        patiently "$missing" "$NOT_ON_S3" aws s3 cp --only-show-errors "$missing" "$1/SHA256SUMS" ||
            fail "$missing cannot be read: $(last_words)" "check that it is there and that the node's role may read it"
    else
        [[ -f $missing ]] || fail "$missing is not there" 'give the folder that python -m bootstrap made'
        cp "$missing" "$1"
    fi
    [[ $(sha256sum <"$1/SHA256SUMS") == "$sums  -" ]] ||
        fail "$missing is not the one that --sums names" 'give the --sums of this bundle; if they are, somebody changed it: upload it again'
    if [[ $bundle == s3://* ]]; then
        # Another attempt fetches what the last one has not.
        patiently "$bundle" "$NOT_ON_S3" aws s3 sync --only-show-errors --exclude SHA256SUMS "$bundle" "$1" ||
            fail "$bundle cannot be read: $(last_words)" "check that it is there and that the node's role may read it"
    else
        cp -R "$bundle/." "$1"
    fi
    (cd "$1" && sha256sum --check --strict --quiet SHA256SUMS) >"$said" 2>&1 || {
        show_said
        fail "not as SHA256SUMS has it: $(blamed)" 'upload the bundle again'
    }
    local more
    more=$(cd "$1" && find . ! -type d ! -path ./SHA256SUMS -printf '%P\n' | sort | comm -23 - <(cut -c 67- SHA256SUMS | sort))
    [[ -z $more ]] || fail "not in SHA256SUMS: ${more//$'\n'/ }" 'take these files out of the bundle, or make it again'
}

build() { # from the bundle in this folder, an environment in that
    local lock=node.lock pip=("$2/bin/python" -I -m pip --no-input --disable-pip-version-check install --no-cache-dir)
    [[ -z $tensorflow ]] || lock=node-keras.lock
    python3.11 -m venv "$2" >"$said" 2>&1 || fail "no virtual environment could be made: $(last_words)" 'is the disk full?'
    say "installing $lock"
    # Wheels alone: what comes as source is built by code that has no hashes.
    local locked=("${pip[@]}" --only-binary :all: --require-hashes -r "$1/$lock")
    if [[ -d $1/wheels ]]; then
        "${locked[@]}" --no-index --find-links "$1/wheels" >"$said" 2>&1 || {
            show_said
            fail "pip could not install $lock from the bundle's wheels: $(last_words)" "see $LOG, and make the bundle again"
        }
    else
        patiently "$lock" "$WRONG_HASH" "${locked[@]}" ||
            fail "pip could not install $lock: $(last_words)" "see $LOG; a node without a way out needs a bundle with wheels"
    fi
    "${pip[@]}" --no-deps --no-index "$1"/fruits-*.whl >"$said" 2>&1 || {
        show_said
        fail "pip could not install fruits: $(last_words)" "see $LOG"
    }
    # EMR brings Spark after the bootstrap actions: looked for whenever Python starts. Nor does every shell there say where Hadoop is.
    cat >"$2/lib/python3.11/site-packages/cluster.pth" <<END
$SPARK/python
import glob, sys; sys.path.extend(glob.glob('$SPARK/python/lib/py4j-*-src.zip'))
import os; os.path.isdir('$SPARK/jars') and os.environ.setdefault('SPARK_HOME', '$SPARK')
import os; os.path.isfile('$HADOOP/yarn-site.xml') and os.environ.setdefault('HADOOP_CONF_DIR', '$HADOOP')
END
    cp "$1/models.sha256" "$2"
    usable "$2" || {
        show_said
        fail "what was installed is of no use: $(blamed)" \
            "make the bundle again where these are model files; else see whether every user may run $(command -v python3.11)"
    }
}

write_defaults() {
    local new=$DEFAULTS.new
    mkdir -p "${DEFAULTS%/*}"
    {
        echo '# Made by the bootstrap script of the node. What ~/.config/fruits/fruits.toml and the one in the working folder say wins.'
        [[ -z $input ]] || echo "input = \"$input\""
        [[ -z $output ]] || echo "output = \"$output\""
    } >"$new"
    mv "$new" "$DEFAULTS"
}

clean_up() {
    rm -f "$said"
    [[ -z $new || $new -ef $prefix ]] || rm -rf "$new"
}

# What killed runs and earlier bundles left.
sweep() {
    local folder
    for folder in "$home"/*/; do
        [[ ! -d $folder || $folder -ef $prefix ]] || rm -rf "$folder"
    done
}

read_arguments "$@"
if ((EUID)); then
    command -v sudo >/dev/null || refuse 'this is not root, and there is no sudo' 'run it as root'
    exec sudo -n -E -H bash "${BASH_SOURCE[0]}" "$@"
fi

readonly home=$prefix.d identity="$sums${tensorflow:+ with TensorFlow}"
mkdir -p "$home"
said=$(mktemp)
new=''
trap clean_up EXIT
trap 'fail "line $LINENO: $BASH_COMMAND ended with $?" "is the disk full? See $LOG"' ERR

exec 9>"$home/lock"
flock --nonblock 9 || {
    say 'another run of this script is at it: waiting for its end'
    flock --timeout "$PATIENCE" 9 || fail "it has not ended in $PATIENCE s" 'look for what it waits for'
}
if is_installed; then
    write_defaults
    sweep
    say "$prefix is there already, of the bundle $sums"
    exit
fi
say "$prefix: installing the bundle $bundle"
sweep
find_python
new=$(mktemp -d "$home/${sums:0:12}.XXXXXX")
chmod 755 "$new"
mkdir "$new/bundle"
fetch "$new/bundle"
build "$new/bundle" "$new"
rm -rf "$new/bundle"
write_defaults
printf '%s\n%s\n' "$identity" "$(now)" >"$new/READY"
ln -sfn "$new" "$home/link"
mv -T "$home/link" "$prefix"
sweep
say "$prefix is ready: $("$prefix/bin/python" -V), $(du -sh "$home" | cut -f 1), $SECONDS s"
