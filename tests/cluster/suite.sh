#!/usr/bin/env bash
# The tests of the cluster, in its head. Without arguments all: what only a cluster has, and the conformance suite on YARN with its files on
# HDFS and on S3. With arguments what these tell pytest.
set -uo pipefail
python=$1
shift

suite() {
    "$python" -m pytest -o cache_dir=.cluster/cache "$@"
}

if (( $# )); then
    suite "$@"
    exit
fi
code=0
suite tests/cluster || code=1
suite tests/conformance --place hdfs || code=1
suite tests/conformance --place s3 || code=1
exit $code
