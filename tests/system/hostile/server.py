# SPDX-License-Identifier: Apache-2.0
"""An S3 server that answers what a test wants. It holds the keys that a Forge puts into it."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        self.server.hostile.requests += 1
        if "list-type" in query:
            body = self.server.hostile.page(query)
            return self.answer(200, body if isinstance(body, bytes) else body.encode(), Content_Type="application/xml")
        if key not in self.server.hostile.keys:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self.server.hostile.get(self, key)

    do_HEAD = do_GET

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")


class HostileServer:
    """page: what a LIST is answered with, where it is not the honest one; get: likewise a GET."""

    def __init__(self):
        self.keys, self.requests = {}, 0
        self.honest = self.page
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.hostile = self
        self.url = f"s3://{BUCKET}?endpoint=http://127.0.0.1:{self.http.server_port}&addressing=path"

    def __enter__(self):
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def put(self, key, data):
        self.keys[key] = data

    def get(self, handler, key):
        data, wanted = self.keys[key], handler.headers.get("Range")
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last_Modified": date}
        if not wanted:
            return handler.answer(200, data, **headers)
        first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
        part = data[first:last + 1]
        return handler.answer(206, part, Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(data)}", **headers)

    def names(self, query):
        """What a listing holds: (keys, common prefixes)."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        keys, prefixes = [], set()
        for key in sorted(self.keys):
            if key.startswith(prefix) and delimiter and delimiter in key[len(prefix):]:
                prefixes.add(prefix + key[len(prefix):].split(delimiter)[0] + delimiter)
            elif key.startswith(prefix):
                keys.append(key)
        return keys, sorted(prefixes)

    def page(self, query):
        return list_page(*self.names(query))


def list_page(keys, prefixes=(), token=None, extra=""):
    """A page of a listing, in the order given."""
    contents = "".join(f"<Contents><Key>{escape(quote(key))}</Key><LastModified>2026-11-22T10:42:00.000Z</LastModified>"
                       f"<ETag>&quot;{hashlib.md5(key.encode()).hexdigest()}&quot;</ETag><Size>5</Size></Contents>" for key in keys)
    common = "".join(f"<CommonPrefixes><Prefix>{escape(quote(p))}</Prefix></CommonPrefixes>" for p in prefixes)
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else "<IsTruncated>false</IsTruncated>"
    return (f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><EncodingType>url</EncodingType>{more}{contents}{common}{extra}'
            "</ListBucketResult>")
