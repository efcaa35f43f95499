"""An S3 server of our own, a real one over HTTP."""

from __future__ import annotations

from typing import Final

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from pyarrow import fs

__all__ = ("BUCKET", "S3Server")

BUCKET: Final = "jobs"


class S3Server:
    """An S3 server on a port of this machine, which can be stopped and started again."""

    def __init__(self) -> None:
        self._port = 0
        self._running: ThreadedMotoServer | None = None
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had."""
        self._running = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._running.start()
        self._port = self._running.get_host_and_port()[1]

    def stop(self) -> None:
        """Stop it; what it holds stays."""
        assert self._running is not None
        self._running.stop()
        assert self._running._server is not None
        self._running._server.server_close()

    def uri(self, folder: str) -> str:
        """Of a folder in the bucket."""
        address = f"scheme=http&endpoint_override=127.0.0.1:{self._port}"
        return f"s3://id:secret@{BUCKET}/{folder}?{address}"

    def filesystem(self) -> fs.S3FileSystem:
        """One that gives up at once."""
        return fs.S3FileSystem(
            access_key="id",
            secret_key="secret",
            scheme="http",
            region="us-east-1",
            endpoint_override=f"127.0.0.1:{self._port}",
            allow_bucket_creation=True,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
            connect_timeout=1,
            request_timeout=5,
        )
