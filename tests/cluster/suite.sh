#!/usr/bin/env bash
# The tests of the cluster, in its head: suite.sh PYTHON WHAT. `faults`: what only a cluster has, then the conformance suite by dask-yarn in its
# own environment. `some-faults`: of these what is not marked slow. `conformance`: that suite on YARN, with its files on HDFS and on S3;
# `some-conformance`: what depends on where work is done and where files are; the others are the same on one machine.
# Anything else is what it tells pytest.
set -uo pipefail
# One process has Dask's session, whose skein has threads of gRPC, and then starts Spark's JVM by fork: gRPC's handlers of a fork have ended
# that child before it was Java.
export GRPC_ENABLE_FORK_SUPPORT=0
python=$1
shift

suite() {
    local python=$1
    shift
    "$python" -m pytest -o cache_dir=.cluster/cache "$@" || code=1
}

code=0
case "$1" in
    faults)
        suite "$python" tests/cluster
        suite "$FRUITS_TEST_DASK_YARN" tests/conformance --place hdfs --launcher dask-yarn
        ;;
    some-faults) suite "$python" tests/cluster -m "not slow" ;;
    conformance)
        suite "$python" tests/conformance --place hdfs
        suite "$python" tests/conformance --place s3
        ;;
    some-conformance)
        suite "$python" tests/conformance/test_{features,names,results,resume}.py --place hdfs
        suite "$python" tests/conformance/test_{names,results}.py --place s3
        ;;
    *) suite "$python" "$@" ;;
esac
exit $code
