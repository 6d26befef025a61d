"""The configuration of a Hadoop client, as it is found in folders, and what hdfs:// URLs mean by it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fruits import hadoop, storage
from fruits.errors import BadArgument

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Writes a site file, by default of HADOOP_CONF_DIR."""
    for name in (*hadoop.FOLDERS, hadoop.ADDRESSES, hadoop.USER):
        monkeypatch.delenv(name, raising=False)

    def write(site: str, properties: dict[str, str], variable: str = "HADOOP_CONF_DIR", more: str = "") -> Path:
        folder = tmp_path / variable
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv(variable, str(folder))
        entries = "".join(f"<property><name>{name}</name><value>{value}</value></property>\n" for name, value in properties.items())
        path = folder / f"{site}-site.xml"
        path.write_text(f'<?xml version="1.0"?>\n<configuration>\n{entries}{more}</configuration>\n')
        return path

    return write


HA = {
    "dfs.nameservices": "one, two",
    "dfs.ha.namenodes.one": "nn1,nn2",
    "dfs.namenode.rpc-address.one.nn1": "first:8020",
    "dfs.namenode.rpc-address.one.nn2": "second:8021",
    "dfs.namenode.http-address.one.nn1": "first:50070",
    "dfs.namenode.http-address.one.nn2": "0.0.0.0:50071",
    "dfs.namenode.rpc-address.two": "third",
}


@pytest.mark.usefixtures("configure")
def test_no_configuration() -> None:
    assert hadoop.properties() is None
    assert hadoop.default_filesystem() is None
    assert hadoop.webhdfs_addresses("NameNode") == ["http://namenode:9870"]
    assert hadoop.webhdfs_addresses("namenode:9000") == ["http://namenode:9870"]
    assert hadoop.worker_environment(["/Test", "s3://bucket/Test"]) == {}
    with pytest.raises(BadArgument, match="set HADOOP_CONF_DIR"):
        storage.normalized("hdfs:///Test")
    assert storage.normalized("hdfs://namenode:8020/Test/") == "hdfs://namenode:8020/Test"


def test_files_are_merged_and_references_filled_in(configure: Configure) -> None:
    configure("core", {"fs.defaultFS": "hdfs://${host}:8020/", "a": "${b}", "b": "${a}", "c": "${user.name}/x"})
    configure("yarn", {"host": "of-hadoop"})
    configure("yarn", {"host": "of-yarn"}, "YARN_CONF_DIR")
    found = hadoop.properties()
    assert found is not None
    assert found["c"] == "${user.name}/x"
    assert found["a"] in ("${a}", "${b}")
    assert hadoop.default_filesystem() == "hdfs://of-yarn:8020"


def test_final_properties_and_included_files(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "more.xml").write_text("<configuration><property><name>x</name><value>included</value></property></configuration>")
    final = "<property><name>y</name><value>1</value><final>true</final></property>"
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{tmp_path}/more.xml"/>'
    configure("core", {}, more=final + include)
    configure("hdfs", {"y": "2"})
    assert hadoop.properties() == {"x": "included", "y": "1"}


def test_folders_without_a_configuration(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(BadArgument, match=r"HADOOP_CONF_DIR: .*nowhere is not a folder"):
        hadoop.properties()
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    with pytest.raises(BadArgument, match=r"has none of core-site\.xml"):
        hadoop.properties()
    configure("core", {}).write_text("<configuration>")
    with pytest.raises(BadArgument, match=r"core-site\.xml cannot be read"):
        hadoop.properties()


def test_addresses_of_one_namenode(configure: Configure) -> None:
    configure("core", {"fs.defaultFS": "hdfs://namenode:9000"})
    assert hadoop.webhdfs_addresses("") == hadoop.webhdfs_addresses("namenode:9000") == ["http://namenode:9870"]
    configure("hdfs", {"dfs.namenode.http-address": "0.0.0.0:50070"})
    assert hadoop.webhdfs_addresses("") == ["http://namenode:50070"]
    assert hadoop.webhdfs_addresses("another:9000") == ["http://another:9870"]
    configure("hdfs", {"dfs.http.policy": "HTTPS_ONLY", "dfs.namenode.https-address": "web:9999"})
    assert hadoop.webhdfs_addresses("") == ["https://web:9999"]
    assert hadoop.webhdfs_addresses("another") == ["https://another:9871"]


def test_addresses_of_two_namenodes(configure: Configure) -> None:
    configure("core", {"fs.defaultFS": "hdfs://one"})
    configure("hdfs", HA)
    both = ["http://first:50070", "http://second:50071"]
    assert hadoop.webhdfs_addresses("") == hadoop.webhdfs_addresses("one") == both
    assert hadoop.webhdfs_addresses("second:8021") == both[1:]
    assert hadoop.webhdfs_addresses("two") == hadoop.webhdfs_addresses("third") == ["http://third:9870"]
    assert storage.holds("hdfs:///Test", "hdfs://one/Test//Results")


def test_what_workers_are_told(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("core", {"fs.defaultFS": "hdfs://one"})
    configure("hdfs", HA)
    monkeypatch.setenv("HADOOP_USER_NAME", "ada")
    told = hadoop.worker_environment(["hdfs:///Test", "hdfs://other:8020/Results", "s3://bucket/x"])
    assert told["HADOOP_USER_NAME"] == hadoop.user() == "ada"
    assert not set("'\"{}$ ") & set(told["FRUITS_WEBHDFS"])  # which launch scripts do not pass on as they are
    monkeypatch.delenv("HADOOP_CONF_DIR")
    monkeypatch.setenv("FRUITS_WEBHDFS", told["FRUITS_WEBHDFS"])
    assert hadoop.webhdfs_addresses("") == ["http://first:50070", "http://second:50071"]
    assert hadoop.webhdfs_addresses("other:8020") == ["http://other:9870"]
    assert storage.normalized("hdfs:///Test") == "hdfs:///Test"


def test_urls(configure: Configure) -> None:
    configure("core", {"fs.defaultFS": "hdfs://NameNode"})
    assert storage.normalized("hdfs:///Te st/#1//") == "hdfs:///Te st/#1"
    for refused in ("hdfs://", "hdfs:///", "hdfs:///a/../b", "hdfs://ada@namenode/Test", "hdfs://ada:key@namenode/Test", "gs://x/y"):
        with pytest.raises(BadArgument):
            storage.normalized(refused)
    assert storage.normalized("hdfs:///mail@home") == "hdfs:///mail@home"
    assert storage.holds("hdfs:///Test", "hdfs://namenode:8020/Test/Results")
    assert storage.holds("hdfs://namenode/Test", "hdfs:///Test")
    assert not storage.holds("hdfs:///Test", "hdfs:///Testing")
    assert not storage.holds("hdfs://other/Test", "hdfs:///Test/Results")
    assert not storage.holds("hdfs:///Test", "/Test")


def test_another_default_file_system(configure: Configure) -> None:
    configure("core", {"fs.defaultFS": "file:///"})
    with pytest.raises(BadArgument, match="the default file system is file:, not HDFS"):
        storage.normalized("hdfs:///Test")
