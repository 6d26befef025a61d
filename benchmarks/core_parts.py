"""What an image takes to be read, decoded and inferred, in ms, in several processes at once.

python -m benchmarks.core_parts FOLDER PROCESSES BATCH
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.core import Network, decoded, files_below

MOST = 2048  # images of each process


def _parts(work: tuple[int, Sequence[str]]) -> tuple[float, float, float]:
    batch, files = work
    network = Network(batch)
    network.features([Path(files[0]).read_bytes()] * batch)
    read = decode = infer = 0.0
    for start in range(0, len(files), batch):
        began = time.perf_counter()
        contents = [Path(file).read_bytes() for file in files[start : start + batch]]
        at_read = time.perf_counter()
        pixels = [decoded(content) for content in contents]
        at_decode = time.perf_counter()
        network.infer(pixels)
        read, decode, infer = read + at_read - began, decode + at_decode - at_read, infer + time.perf_counter() - at_decode
    return read, decode, infer


def main() -> None:
    folder, count, batch = sys.argv[1:]
    processes = int(count)
    files = files_below(folder)
    each = min(MOST, len(files) // processes)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = pool.map(_parts, [(int(batch), files[i * each : (i + 1) * each]) for i in range(processes)], chunksize=1)
    names = ("read", "decode", "infer")
    print(json.dumps({name: sum(seconds) / processes / each * 1000 for name, seconds in zip(names, zip(*found, strict=True), strict=True)}))


if __name__ == "__main__":
    main()
