"""The middleware in Python."""

import hmac
import json
import re
from collections import Counter

from bench.v1.middleware_pb2 import Reply, Request
from polyhost import export

PREFIX = "/api/v1/"
SLASHES = re.compile("//+")
DROPPED = ("connection", "keep-alive", "x-signature")

counts: Counter[str] = Counter()


@export("bench.v1.Middleware/Handle")
def handle(request: Request) -> Reply:
    """Check the signature, rewrite path and headers, transform a JSON body, count."""
    headers = request.headers
    key = headers.get("x-key")
    if key is None or not is_signed(request, key):
        return Reply(status=401)
    body = request.body
    if headers.get("content-type", "").startswith("application/json"):
        try:
            body = transform(body, key)
        except (ValueError, KeyError, TypeError, RecursionError):
            return Reply(status=400)
    counts[key] += 1
    return rewritten(request, body, counts[key])


@export("bench.v1.Middleware/Rewrite")
def rewrite(request: Request) -> Reply:
    """Rewrite path and headers alone."""
    return rewritten(request, request.body)


def is_signed(request: Request, key: str) -> bool:
    message = f"{request.method}\n{request.path}\n".encode() + request.body
    expected = hmac.digest(f"secret-{key}".encode(), message, "sha256").hex()
    signature = request.headers.get("x-signature")
    return signature is not None and hmac.compare_digest(signature.encode(), expected.encode())


def rewritten(request: Request, body: bytes, count: int = 0) -> Reply:
    path, mark, query = request.path.partition("?")
    path = SLASHES.sub("/", path)
    if len(path) > 1:
        path = path.removesuffix("/")
    headers = {name: value for name, value in request.headers.items() if name not in DROPPED}
    headers["via"] = "polyhost"
    if path.startswith(PREFIX):
        path = "/internal/" + path.removeprefix(PREFIX)
        headers["x-forwarded-prefix"] = "/api/v1"
    return Reply(path=path + mark + query, headers=headers, body=body, count=count)


def transform(body: bytes, key: str) -> bytes:
    # Decoded here and not by `json`, which takes UTF-16 and a byte order mark too.
    value = json.loads(body.decode(), parse_constant=refuse)
    if not isinstance(value, dict):
        raise TypeError("the body is no object")
    value.pop("password", None)
    value["gateway"] = {"key": key}
    if "items" in value:
        value["total"] = total(value["items"])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def total(items: object) -> int:
    if not isinstance(items, list):
        raise TypeError("items is no list")
    return sum(integer(item["price"]) * integer(item["quantity"]) for item in items)


def integer(value: object) -> int:
    if type(value) is not int:  # A bool is an int, too.
        raise TypeError("no integer")
    return value


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
