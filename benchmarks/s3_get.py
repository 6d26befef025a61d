"""The processor time of a client that reads small objects, in ms an object: `python -m benchmarks.s3_get CLIENT BUCKET KEYS...`."""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

THREADS = 8


def reader(client: str, bucket: str) -> Callable[[str], bytes]:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    region = os.environ["AWS_DEFAULT_REGION"]
    if client == "s3fs":
        import s3fs

        files = s3fs.S3FileSystem(use_listings_cache=False)
        return lambda key: bytes(files.cat_file(f"{bucket}/{key}", max_concurrency=1))
    if client == "pyarrow.fs":
        from pyarrow.fs import S3FileSystem

        arrow = S3FileSystem(access_key=keys[0], secret_key=keys[1], endpoint_override=endpoint, region=region)

        def read(key: str) -> bytes:
            with arrow.open_input_stream(f"{bucket}/{key}") as file:
                return bytes(file.read())

        return read
    from obstore.store import S3Store

    store = S3Store(
        bucket, endpoint=endpoint, region=region, access_key_id=keys[0], secret_access_key=keys[1], client_options={"allow_http": True}
    )
    return lambda key: bytes(store.get(key).bytes())


def main() -> None:
    client, bucket, *keys = sys.argv[1:]
    read = reader(client, bucket)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, keys[: 2 * THREADS]))
        started = time.process_time()
        list(pool.map(read, keys))
        print((time.process_time() - started) / len(keys) * 1000)


if __name__ == "__main__":
    main()
