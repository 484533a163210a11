"""A web server for one test, which answers as it is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web(ThreadingHTTPServer):
    """Answers every request with `answer`, a function that is given the request's handler.

    asked: the path and the header Authorization of each request.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked = []
        self.answer = lambda handler: reply(handler, 200, b"id\n")
        self.is_over = threading.Event()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args):
        self.is_over.set()
        self.shutdown()
        super().__exit__(*args)

    def handle_error(self, request, client_address):
        """A caller that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.server.answer(self)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


def reply(handler, status, body=b"", **headers):
    """Send an answer; its length is that of the body unless the headers say otherwise."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | given).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
