"""
The process behind `cloudwatch_server.py`: `cloudwatch_service.py` on a port.

Connections are kept alive, which moto's own server does not do.

Run as a module it prints the port, and serves until its standard input ends.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from uuid import uuid4

from tests.integration.cloudwatch_server import SERVICE
from tests.integration.cloudwatch_service import Cut, Reply, Service


class Connection(BaseHTTPRequestHandler):
    """One connection, for as many requests as the client likes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one packet
    service: Service
    numbers = count(1)

    def setup(self) -> None:
        """Number the connection."""
        super().setup()
        self.number = next(self.numbers)

    def do_POST(self) -> None:
        """Answer, or cut the connection."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client died, and its connection with it
            self.close_connection = True
            return
        try:
            reply = self._answer(body)
        except Cut as cut:
            self.close_connection = True
            if cut.reset:
                # A connection that is closed with a linger of 0 seconds is reset.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("x-amzn-RequestId", str(uuid4()))
        self.end_headers()
        self.wfile.write(reply.body)

    def _answer(self, body: bytes) -> Reply:
        prefix, _, action = self.path[1:].partition("/")
        if prefix == "control":
            return self._control(action, body)
        headers = dict(self.headers.items())
        target = headers.get("X-Amz-Target", "")
        if not target.startswith(SERVICE):
            return self.service.forward("POST", self.path, headers, body)
        operation = target.removeprefix(SERVICE)
        return self.service.call(operation, headers, body, self.number)

    def _control(self, action: str, body: bytes) -> Reply:
        try:
            answer = self.service.controls[action](**json.loads(body))
        except Exception as error:
            wrong = json.dumps(repr(error)).encode()
            return Reply(HTTPStatus.INTERNAL_SERVER_ERROR, wrong)
        return Reply(HTTPStatus.OK, json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing; `Service` keeps what matters."""


class HTTPServer(ThreadingHTTPServer):
    """Connections in threads, with bugs told to the tests."""

    request_queue_size = 128

    def shutdown_request(self, request: Any) -> None:
        """Close, without the polite end that would hide a reset."""
        self.close_request(request)

    def handle_error(self, *_: Any) -> None:
        """Tell what went wrong here; that a client goes away is nothing wrong."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            Connection.service.tell_bug()


def main() -> None:
    """Serve until the standard input ends."""
    Connection.service = Service()
    server = HTTPServer(("127.0.0.1", 0), Connection)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
