#!/usr/bin/env bash
# All tests of the cluster, in its head: what only a cluster has, and the conformance suite on YARN with its files on HDFS and on S3.
# What failed is run once more, and said to be: on two cores, six JVMs and the engines' own time limits get in each other's way now and then.
set -uo pipefail
python=$1
shift
code=0

suite() {
    "$python" -m pytest -o cache_dir=.cluster/cache "$@" && return
    echo "SECOND ATTEMPT at what failed of: $*"
    "$python" -m pytest -o cache_dir=.cluster/cache --last-failed --last-failed-no-failures none "$@" || code=1
}

suite tests/cluster "$@"
suite tests/conformance --place hdfs "$@"
suite tests/conformance --place s3 "$@"
exit $code
