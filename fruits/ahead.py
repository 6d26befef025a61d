"""Reading ahead: what has a long way is on it while the processor decodes and infers."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fruits.listing import Entry

Content = TypeVar("Content")

# An image takes 5 ms to decode and infer, and a request to S3 20 to 50 ms.
IN_FLIGHT = 16
BYTES_IN_FLIGHT = 32_000_000  # photos of phones have 5 MB: a worker's memory must stay below its bound


def ahead(read: Callable[[Entry], Content], entries: Sequence[Entry]) -> Iterator[Callable[[], Content]]:
    """For each entry, in order, what waits for `read(entry)` and returns its content or raises its fault.

    At most so many are read before their turn, by threads. What was not asked for is not waited for.
    """
    waiting: deque[tuple[Future[Content], int]] = deque()
    held = 0
    pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="read")
    try:
        for entry in entries:
            size = entry[1]
            while waiting and (len(waiting) == IN_FLIGHT or held + size > BYTES_IN_FLIGHT):
                first, bytes_of_first = waiting.popleft()
                held -= bytes_of_first
                yield first.result
            waiting.append((pool.submit(read, entry), size))
            held += size
        while waiting:
            yield waiting.popleft()[0].result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
