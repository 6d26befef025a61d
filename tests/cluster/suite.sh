#!/usr/bin/env bash
# All tests of the cluster, in its head: what only a cluster has, and the conformance suite on YARN with its files on HDFS and on S3.
set -uo pipefail
python=$1
shift
code=0
"$python" -m pytest tests/cluster "$@" || code=1
for place in hdfs s3; do
    "$python" -m pytest tests/conformance --place "$place" "$@" || code=1
done
exit $code
