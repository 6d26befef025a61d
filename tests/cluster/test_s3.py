"""S3 on a bad day, and keys that nobody may see, with workers in containers."""

import time
from pathlib import Path

import s3
from cluster.driver import PHOTOS, Driver, assert_nothing_left, assert_right, newest, report, upload
from cluster.places import S3, Place, give_keys
from hadoop.cluster import Cluster
from hadoop.network import HEAD

NODES = ("--environment", "venv:///mnt/environment")
SOME = PHOTOS[::4]  # 84 photos


def test_faults_lose_and_double_nothing_and_keys_stay_secret(
    backend: str, cluster: Cluster, places: dict[str, Place], tmp_path: Path
) -> None:
    place = places["s3"]
    assert isinstance(place, S3)
    for node in cluster.nodes:  # one that has booted since has none
        give_keys(cluster, node.name, s3.credentials(place.keys))
    url, name = upload(place, f"faults-{backend}", SOME), f"faults-out-{backend}"
    shown = set()
    with s3.faulty_proxy(place.endpoint, HEAD) as (proxy, faults):
        typed = ("--backend", backend, "--cluster", "yarn", *NODES, "--workers", "2")
        typed += ("--chunk-size", "6", "--components", "5", "--pca", "moments")
        with Driver(tmp_path, *typed, "--input", url, "--output", f"{place.url}/{name}", AWS_ENDPOINT_URL=proxy) as driver:
            while driver.process.poll() is None:
                shown |= exposed(cluster, place.keys)
                time.sleep(0.5)
            assert driver.process.returncode == 0, driver.said
            said = driver.said
    print(f"{backend}: {dict(faults)}")
    assert min(faults["throttled"], faults["cut"], faults["unanswered"]) > 0, faults
    assert_right(place, name, url, SOME)
    counts = report(place, name)["images"]
    assert (counts["found"], counts["featurized"], counts["rejected"]) == (len(SOME), len(SOME), 0)
    assert shown == {"the files of AWS"}  # it was looked where keys could be seen
    assert not [key for key in place.keys.values() if key in said or key in place.get(f"/{name}/report.json").decode()]
    assert_nothing_left(cluster, newest(cluster))


def exposed(cluster: Cluster, keys: dict[str, str]) -> set[str]:
    """Where a key is seen: in the command line of any process, or in what YARN keeps of a container (its scripts and its logs)."""
    files = {"the process list": list(Path("/proc").glob("[0-9]*/cmdline"))}
    for node in cluster.nodes:
        kept = [*node.local_dir.rglob("*.sh"), *node.log_dir.rglob("*")]
        files.setdefault("YARN", []).extend(file for file in kept if file.is_file())
        files.setdefault("the files of AWS", []).append(Path(f"/proc/{node.init}/root/home/.aws/credentials"))
    found = set()
    for where, paths in files.items():
        for path in paths:
            try:
                content = path.read_bytes()
            except OSError:
                continue  # of a process, or a container, that has ended meanwhile
            if any(key.encode() in content for key in keys.values()):
                found.add(where)
    return found
