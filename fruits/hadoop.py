"""What the configuration of a Hadoop client says: its properties, its file system, and where that answers over HTTP.

Nodes of a cluster need not have such a configuration: the driver looks the addresses up and passes them on (`worker_environment`).
"""

import getpass
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree import ElementInclude, ElementTree

from fruits.errors import BadArgument

FOLDERS = ("YARN_CONF_DIR", "HADOOP_CONF_DIR")
SITES = ("core-site.xml", "hdfs-site.xml", "yarn-site.xml")
ADDRESSES = "FRUITS_WEBHDFS"  # authority as typed=address, as in a URL's query: YARN's launch scripts take quotes out of a JSON
USER = "HADOOP_USER_NAME"  # as Hadoop's own clients have it
_RPC_PORT, _HTTP_PORT, _HTTPS_PORT = 8020, 9870, 9871  # Hadoop's defaults since 3.0
_EXPANSIONS = 20  # as Hadoop has it: references in a circle end


def properties() -> dict[str, str] | None:
    """All properties of the site files, with `${name}` of other properties filled in; None where neither variable is set.

    A file that is in both folders is read from YARN_CONF_DIR. Raises `BadArgument` when a variable names no folder of site files.
    """
    folders = [_folder(name) for name in FOLDERS if os.environ.get(name)]
    if not folders:
        return None
    raw: dict[str, str] = {}
    final: set[str] = set()
    for site in SITES:
        if path := next((folder / site for folder in folders if (folder / site).is_file()), None):
            _read(path, raw, final)
    return {name: _expanded(value, raw) for name, value in raw.items()}


def default_filesystem() -> str | None:
    """`fs.defaultFS`, for example `hdfs://namenode:8020`, with no slash at the end; None where nothing says it."""
    found = properties() or {}
    return (found.get("fs.defaultFS") or found.get("fs.default.name") or "").rstrip("/") or None


def webhdfs_addresses(authority: str) -> list[str]:
    """Where the NameNodes of an `hdfs://` URL's authority answer, as `http://host:port` (https where the cluster allows no other).

    `authority`: empty for the default file system, `host`, `host:port`, or a nameservice. Of more than one address (high availability)
    only one is active. Raises `BadArgument` where there is no default file system, or it is not HDFS.
    """
    if told := [address for name, address in parse_qsl(os.environ.get(ADDRESSES, "")) if name == authority]:
        return told
    found = properties() or {}
    authority = authority or _default_authority()
    secure = found.get("dfs.http.policy", "").upper() == "HTTPS_ONLY"
    namenodes = _namenodes(found)
    members = [suffix for suffix in namenodes if suffix.split(".")[0] == authority] if authority in _nameservices(found) else []
    if not members:
        members = [suffix for suffix in namenodes if with_port(authority) == _rpc_address(found, suffix)][:1]
    if not members:
        return [_http_address("", urlsplit(f"//{authority}").hostname or authority, secure)]
    key = "dfs.namenode.https-address" if secure else "dfs.namenode.http-address"
    addresses = []
    for suffix in members:
        host = _rpc_address(found, suffix).rpartition(":")[0] or authority
        addresses.append(_http_address(found.get(_named(key, suffix), ""), host, secure))
    return addresses


def authority_of(url: str) -> str:
    """The part of an `hdfs://` URL that names the file system, as typed; empty for the default one."""
    return url.removeprefix("hdfs://").partition("/")[0]


def filesystem_of(url: str) -> str:
    """The same text for every spelling of one file system: the default one by its name, the port always there."""
    authority = authority_of(url) or _default_authority()
    return authority if authority in _nameservices(properties() or {}) else with_port(authority)


def with_port(authority: str) -> str:
    return (authority if re.search(r":\d+$", authority) else f"{authority}:{_RPC_PORT}").lower()


def user() -> str:
    """Whose name HDFS is told: HADOOP_USER_NAME, or the user of this process. Raises `BadArgument` where neither has a name."""
    try:
        return os.environ.get(USER) or getpass.getuser()
    except (KeyError, OSError) as nameless:
        raise BadArgument("HDFS wants to know a user, and the one of this process has no name", f"set {USER}") from nameless


def worker_environment(urls: Iterable[str]) -> dict[str, str]:
    """The variables with which a process elsewhere finds the file systems of these URLs, as the same user; none where no URL is of HDFS."""
    authorities = {authority_of(url) for url in urls if url.startswith("hdfs://")}
    if not authorities:
        return {}
    return {
        ADDRESSES: urlencode([(name, address) for name in sorted(authorities) for address in webhdfs_addresses(name)]),
        USER: user(),
    }


def _folder(variable: str) -> Path:
    folder = Path(os.environ[variable])
    if not any((folder / site).is_file() for site in SITES):
        what = "has none of " + ", ".join(SITES) if folder.is_dir() else "is not a folder"
        raise BadArgument(f"{variable}: {folder} {what}", "set it to the folder with the configuration of the Hadoop client, or unset it")
    return folder


def _read(path: Path, into: dict[str, str], final: set[str]) -> None:
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  the user's own configuration
        ElementInclude.include(root, base_url=str(path))
    except (ElementTree.ParseError, ElementInclude.FatalIncludeError, OSError) as broken:
        raise BadArgument(f"{path} cannot be read: {broken}", "repair it, or set HADOOP_CONF_DIR to another folder") from broken
    for entry in root.iter("property"):
        name, value = (entry.findtext("name") or "").strip(), entry.findtext("value")
        if not name or value is None or name in final:
            continue
        into[name] = value.strip()
        if (entry.findtext("final") or "").strip() == "true":
            final.add(name)


def _expanded(value: str, known: dict[str, str]) -> str:
    for _ in range(_EXPANSIONS):
        filled = re.sub(r"\$\{([^\s${}]+)\}", lambda found: known.get(found[1], found[0]), value)
        if filled == value:
            break
        value = filled
    return value


def _default_authority() -> str:
    default = default_filesystem()
    if default is None:
        raise BadArgument(
            "an hdfs:// URL without a NameNode needs a Hadoop configuration, and none names a file system",
            "set HADOOP_CONF_DIR to the folder that holds core-site.xml, or type hdfs://namenode:8020/...",
        )
    if not default.startswith("hdfs://"):
        raise BadArgument(f"the default file system is {default}, not HDFS", "type the NameNode: hdfs://namenode:8020/...")
    return authority_of(default)


def _nameservices(found: dict[str, str]) -> list[str]:
    return [name.strip() for name in found.get("dfs.nameservices", "").split(",") if name.strip()]


def _namenodes(found: dict[str, str]) -> list[str]:
    """What Hadoop appends to the names of properties for each NameNode: `service.namenode`, `service`, or nothing for the only one."""
    suffixes = []
    for service in _nameservices(found):
        members = [name.strip() for name in found.get(f"dfs.ha.namenodes.{service}", "").split(",") if name.strip()]
        suffixes += [f"{service}.{member}" for member in members] or [service]
    return suffixes or [""]


def _rpc_address(found: dict[str, str], suffix: str) -> str:
    """`host:port` of a NameNode; empty where the configuration does not say."""
    if address := found.get(_named("dfs.namenode.rpc-address", suffix)):
        return with_port(address)
    default = found.get("fs.defaultFS") or found.get("fs.default.name") or ""
    return with_port(authority_of(default)) if not suffix and default.startswith("hdfs://") else ""


def _named(key: str, suffix: str) -> str:
    return f"{key}.{suffix}" if suffix else key


def _http_address(configured: str, namenode: str, secure: bool) -> str:
    """`configured` with what it leaves out: a host that only says where to listen, or the port."""
    parts = urlsplit(f"//{configured}")
    host = parts.hostname if parts.hostname not in (None, "0.0.0.0", "::") else namenode  # noqa: S104  compared, not bound
    return f"{'https' if secure else 'http'}://{host}:{parts.port or (_HTTPS_PORT if secure else _HTTP_PORT)}"
