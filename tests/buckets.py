"""An S3 server on this machine: moto's, in threads of this process, with a door that refuses on demand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

KEY, SECRET = "AKIDOFTHESETESTS0001", "a-secret/that+stands*nowhere"
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
UNKNOWN = b"<Error><Code>InvalidAccessKeyId</Code><Message>Unknown.</Message><AWSAccessKeyId>%s</AWSAccessKeyId></Error>"


class S3Server:
    """A running server. ``refuse``: so many requests are answered with SlowDown. ``asked``: methods and paths of all requests."""

    def __init__(self, app, address: str) -> None:
        import botocore.session

        self._app, self.address, self.refuse, self.asked = app, address, 0, []
        self.variables = {
            "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }  # fmt: skip
        self.client = botocore.session.get_session().create_client(
            "s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
        )

    def __call__(self, environ, respond):
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if self.refuse > 0:
            self.refuse -= 1
            respond("503 Slow Down", [("Content-Type", "application/xml")])
            return [BUSY]
        if KEY not in environ.get("HTTP_AUTHORIZATION", ""):
            respond("403 Forbidden", [("Content-Type", "application/xml")])
            return [UNKNOWN % environ.get("HTTP_AUTHORIZATION", "").encode()]
        return self._app(environ, respond)

    def fill(self, bucket: str, files) -> None:
        """Make a bucket of these files, given by key."""
        self.client.create_bucket(Bucket=bucket)
        for key, content in files.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def drop(self, bucket: str) -> None:
        """Remove a bucket with everything in it."""
        for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            self.client.delete_object(Bucket=bucket, Key=one["Key"])
        self.client.delete_bucket(Bucket=bucket)


@contextlib.contextmanager
def serving() -> Iterator[S3Server]:
    """A server for as long as the context lasts."""
    pytest.importorskip("moto")
    import threading

    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_) -> None:
            pass

    get_backend("s3")
    server = make_server("127.0.0.1", 0, None, threaded=True, request_handler=Quiet)
    server.app = found = S3Server(DomainDispatcherApplication(create_backend_app), f"http://127.0.0.1:{server.port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
