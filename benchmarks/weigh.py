"""Starts a command and writes the peak of its memory, in bytes, into a file: `python -S -E benchmarks/weigh.py FILE COMMAND...`.

A process of its own because it is small: Linux counts in a child's peak what its parent held when it started it, and a benchmark that has
just computed a PCA in numpy holds more than what it weighs.
"""

import os
import sys


def main() -> None:
    file, *command = sys.argv[1:]
    _, status, usage = os.wait4(os.spawnvp(os.P_NOWAIT, command[0], command), 0)
    with open(file, "w") as out:
        out.write(str(usage.ru_maxrss * 1024))
    sys.exit(os.waitstatus_to_exitcode(status) and 1)


if __name__ == "__main__":
    main()
