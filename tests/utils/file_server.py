# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A web server for one file, with the faults that a test asks for."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves ``content`` at every path, in this process.

    Attributes:
        content (bytes): The file.
        headers (dict[str, str]): Sent with it; ``ETag`` is its version.
        cuts (list[int]): After how many bytes to break off, one an answer;
            later answers are complete.
        ranges (bool): Whether it can send a part.
        status (int): 200, or an error to answer with.
        requests (list[dict]): The headers of all requests so far.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.headers = {'ETag': '"version 1"'}
        self.cuts = []
        self.ranges = True
        self.status = 200
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):

            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self._http.server_port}'
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(.01, ), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, handler):
        asked = dict(handler.headers)
        self.requests.append(asked)
        if self.status != 200:
            handler.send_error(self.status)
            return
        # Before the first byte goes out: after it the client may have given
        # up, and the test asked for the faults of the next answer.
        cut = self.cuts.pop(0) if self.cuts else None
        first, total = 0, len(self.content)
        same = asked.get('If-Range') in self.headers.values()
        if self.ranges and 'Range' in asked and same:
            first = int(asked['Range'][len('bytes='):-1])
            if first >= total:
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header('Content-Range',
                                f'bytes {first}-{total - 1}/{total}')
        else:
            handler.send_response(200)
        body = self.content[first:]
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header('Content-Length', str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:cut])
        handler.close_connection = True
