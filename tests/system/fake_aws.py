# SPDX-License-Identifier: Apache-2.0
"""What AWS has and MinIO has not: a metadata service, a container's endpoint, STS for web identities, and a store that refuses credentials.

Each checks what it is asked as strictly as the real one, and answers 400 where it is asked in another way.
"""

import contextlib
import http.client
import json
import re
import threading
import urllib.parse
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config

ROLE = "the-role"
ROLE_ARN = "arn:aws:iam::123456789012:role/backup"
IMDS_TOKEN = "AQAEAimds-session-token=="
CONTAINER_TOKEN = "Bearer container-token-of-the-pod"
WEB_TOKEN = "eyJhbGciOiJSUzI1NiJ9.web-identity-token.c2lnbmF0dXJl"


def temporary_credentials(server, policy=None):
    """Real ones, from MinIO's own STS; they may do what the policy (JSON) permits, and no more."""
    sts = boto3.client("sts", endpoint_url=server.endpoint, region_name=server.region, aws_access_key_id=server.access_key,
                       aws_secret_access_key=server.secret_key, config=Config(retries={"max_attempts": 0}))
    return sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="test", DurationSeconds=900,
                           **({"Policy": policy} if policy else {}))["Credentials"]


class Server:
    """An HTTP server on 127.0.0.1 for as long as the block lasts. Subclasses answer: (status, body) for a request."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with outer.lock:
                    outer.requests.append((self.command, self.path, dict(self.headers), body))
                outer.handle(self, body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_CONNECT = answer

        self.lock = threading.Lock()
        self.requests = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, command, path, headers, body):
        return 404, b""

    def handle(self, handler, body):
        status, text = self.answer(handler.command, handler.path, handler.headers, body)
        text = text.encode() if isinstance(text, str) else text
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


class FakeAWS(Server):
    """All endpoints that hand out credentials. They hand out what a test puts into `credentials`, valid for `seconds`."""

    def __init__(self, credentials, seconds=3600):
        super().__init__()
        self.credentials, self.seconds = credentials, seconds
        self.handed_out = 0
        self.failing = []  # statuses of the next answers
        self.web_token = WEB_TOKEN

    def expiration(self):
        return (datetime.now(timezone.utc) + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def json(self, **more):
        self.handed_out += 1
        return 200, json.dumps({"AccessKeyId": self.credentials["AccessKeyId"], "Expiration": self.expiration(),
                                "SecretAccessKey": self.credentials["SecretAccessKey"],
                                "Token": self.credentials["SessionToken"], **more})

    def answer(self, command, path, headers, body):
        with self.lock:
            if self.failing:
                return self.failing.pop(0), b""
        if path.startswith("/latest/"):
            return self.imds(command, path, headers, body)
        if path == "/container?x=1":
            return self.json() if headers.get("Authorization") == CONTAINER_TOKEN and command == "GET" else (400, b"")
        return self.sts(command, path, headers, body)

    def imds(self, command, path, headers, body):
        roles = "/latest/meta-data/iam/security-credentials/"
        if path == "/latest/api/token":
            right = command == "PUT" and not body and headers.get("X-aws-ec2-metadata-token-ttl-seconds") == "21600"
            return (200, IMDS_TOKEN) if right and "X-Forwarded-For" not in headers else (400, b"")
        if command != "GET" or headers.get("X-aws-ec2-metadata-token") != IMDS_TOKEN:
            return 401, b""
        if path == roles:
            return 200, ROLE
        return self.json(Code="Success", Type="AWS-HMAC") if path == roles + ROLE else (404, b"")

    def sts(self, command, path, headers, body):
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        right = (command == "POST" and path == "/" and "Authorization" not in headers
                 and headers.get("Content-Type") == "application/x-www-form-urlencoded; charset=utf-8"
                 and form.get("Action") == "AssumeRoleWithWebIdentity" and form.get("Version") == "2011-06-15"
                 and form.get("RoleArn") == ROLE_ARN and re.fullmatch(r"[\w+=,.@-]{2,64}", form.get("RoleSessionName", "")))
        if not right or form.get("WebIdentityToken") != self.web_token:
            return 400, ("<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>not "
                         f"{form.get('WebIdentityToken')}</Message></Error></ErrorResponse>")
        self.handed_out += 1
        c = self.credentials
        return 200, ('<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                     f"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{c['AccessKeyId']}</AccessKeyId>"
                     f"<SecretAccessKey>{c['SecretAccessKey']}</SecretAccessKey><SessionToken>{c['SessionToken']}"
                     f"</SessionToken><Expiration>{self.expiration()}</Expiration></Credentials>"
                     "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")


class Gatekeeper(Server):
    """A store in front of MinIO that refuses access keys which a test has put into `refused`: {access key: code of S3}."""

    def __init__(self, port):
        super().__init__()
        self.target = port
        self.refused = {}
        self.refusals = 0

    def handle(self, handler, body):
        key = re.search(r"Credential=([^/]+)/", handler.headers.get("Authorization", ""))
        code = self.refused.get(key and key[1])
        if code:
            with self.lock:
                self.refusals += 1
            return self.refuse(handler, code)
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=30)
        connection.request(handler.command, handler.path, body or None, dict(handler.headers))
        answer = connection.getresponse()
        data = answer.read()
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                handler.send_header(name, value)
        length = answer.getheader("Content-Length") if handler.command == "HEAD" else str(len(data))
        if length is not None:
            handler.send_header("Content-Length", length)
        handler.end_headers()
        with contextlib.suppress(BrokenPipeError):
            handler.wfile.write(data)
        connection.close()

    def refuse(self, handler, code):
        text = b"" if handler.command == "HEAD" else f"<Error><Code>{code}</Code><Message>refused</Message></Error>".encode()
        handler.send_response(403)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
