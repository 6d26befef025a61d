"""What this machine offers."""

import os
from pathlib import Path


def cores() -> int:
    """Cores that this process may use: its CPU affinity, and a container's quota (cgroup v2 `cpu.max`) where there is one."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def multiplies_bfloat16(cpuinfo: str | None = None) -> bool:
    """Whether the processors of this /proc/cpuinfo (None: this machine's) have instructions for it: AVX512-BF16 or AMX."""
    text = Path("/proc/cpuinfo").read_text() if cpuinfo is None else cpuinfo
    flags = [set(line.partition(":")[2].split()) for line in text.splitlines() if line.startswith("flags")]
    return bool(flags) and all(found & {"avx512_bf16", "amx_bf16"} for found in flags)


def memory() -> int:
    """Bytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
