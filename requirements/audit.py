"""Looks a lock's packages up among the known vulnerabilities, with pip-audit: fails on findings, and says so where it could not look.

    python requirements/audit.py requirements/run.lock

pip-audit itself ends well where every package is unknown to the index that answers, as a mirror without the database does.
"""

import json
import subprocess
import sys

COMMAND = (sys.executable, "-m", "pip_audit", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--requirement")
UNREACHABLE = (
    "ConnectionError",
    "Connection refused",
    "Could not connect",
    "Failed to connect",
    "Max retries exceeded",
    "timed out",
    "ServiceError",
)


def main(lock: str) -> int:
    ended = subprocess.run([*COMMAND, lock], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        found = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        said = ended.stderr.strip()
        if any(words in said for words in UNREACHABLE):
            return _could_not_look(lock, said.splitlines()[-1])
        print(f"{lock}: pip-audit failed: {said}", file=sys.stderr)
        return 1
    unknown = [package["name"] for package in found if "skip_reason" in package]
    if len(unknown) == len(found):
        return _could_not_look(lock, found[0]["skip_reason"] if found else "it names no package")
    for package in found:
        for fault in package.get("vulns", ()):
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            print(f"{lock}: {package['name']} {package['version']}: {fault['id']}, mended in {fixed}", file=sys.stderr)
    print(f"{lock}: {len(found) - len(unknown)} packages looked up" + (f"; NOT LOOKED UP: {', '.join(unknown)}" if unknown else ""))
    return int(any(package.get("vulns") for package in found))


def _could_not_look(lock: str, why: str) -> int:
    print(f"{lock}: NOT AUDITED: the database of vulnerabilities is not reachable from here ({why})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
