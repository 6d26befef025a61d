"""An S3 server on loopback, and the long way to it: a proxy that keeps every request for a while."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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
    """The port of a proxy before another on loopback. What a client sends arrives so many seconds later; answers come at once."""
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    started = threading.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        try:
            while data := await reader.read(1 << 16):
                if delay:
                    await asyncio.sleep(delay)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the client has gone, which is the client's affair
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(forward(reader, upstream_writer, seconds), forward(upstream_reader, writer, 0))

    async def serve() -> None:
        listening = await asyncio.start_server(connected, LOOPBACK, 0)
        ready.append(listening.sockets[0].getsockname()[1])
        started.set()

    task = loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        task.cancel()


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
