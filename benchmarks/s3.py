"""An S3 server on loopback, and the long way to it: a proxy that keeps every request for a while."""

import asyncio
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
KEYS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark", "AWS_DEFAULT_REGION": "us-east-1"}
PATIENCE_SECONDS = 60


@contextmanager
def server(log: Path) -> Iterator[int]:
    """The port of a server of its own (moto), which ends with the block."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            patience = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    socket.create_connection((LOOPBACK, port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > patience:
                        raise
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """The port of a proxy before another on loopback. What a client sends arrives so many seconds later; answers come at once.

    A long way, not a narrow one: what is sent while an earlier part is under way arrives right behind it, so a large body is no later than
    a small one.
    """
    ready: queue.SimpleQueue[tuple[int, Callable[[], object]]] = queue.SimpleQueue()

    async def receive(reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]], delay: float) -> None:
        clock, data = asyncio.get_running_loop().time, b"more"
        while data:
            try:
                data = await reader.read(1 << 16)
            except ConnectionError:
                data = b""  # the other side has gone, which is its own affair
            under_way.put_nowait((clock() + delay, data))

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        receiving = asyncio.create_task(receive(reader, under_way, delay))
        try:
            while (part := await under_way.get())[1]:
                await asyncio.sleep(part[0] - asyncio.get_running_loop().time())
                writer.write(part[1])
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            receiving.cancel()
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(forward(reader, upstream_writer, seconds), forward(upstream_reader, writer, 0))

    async def serve() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        listening = await asyncio.start_server(connected, LOOPBACK, 0)
        ready.put((listening.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
        await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    own_port, end = ready.get(timeout=PATIENCE_SECONDS)
    try:
        yield own_port
    finally:
        end()
        thread.join()


def environment(port: int) -> dict[str, str]:
    """No call can leave the machine: the endpoint is given, and every other address goes to a proxy that is not there."""
    return {
        **KEYS,
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTP_PROXY": f"http://{LOOPBACK}:9",
        "HTTPS_PROXY": f"http://{LOOPBACK}:9",
        "NO_PROXY": LOOPBACK,
    }
