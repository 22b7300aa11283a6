"""A server that speaks S3, for tests that stop and start it."""

import logging
from urllib.request import Request, urlopen


class S3Server:
    """Empty, and on a free port of the loopback address, when it is made. What is in it stays
    while it is stopped. One at a time: all share one memory."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
        self._port = 0
        self.start()
        self._ask("POST", "moto-api/reset")

    def start(self) -> None:
        """On the same port as before."""
        from moto.server import ThreadedMotoServer  # takes long; few tests need it

        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        """From now on nothing listens."""
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a client needs."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def url(self, bucket: str) -> str:
        """Of a place in a bucket, which is made if there is none."""
        self._ask("PUT", bucket)
        return f"s3://{bucket}/some/prefix"

    def _ask(self, method: str, path: str) -> None:
        address = f"{self.environment['AWS_ENDPOINT_URL']}/{path}"
        with urlopen(Request(address, method=method)):
            pass
