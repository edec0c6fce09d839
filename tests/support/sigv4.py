"""AWS's Signature Version 4 as the receiver computes it, from AWS's description
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<scope>[^,]+), "
    r"SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Signature:
    """`scope`: region, service and version; `names`: the headers that were signed."""

    scope: str
    names: frozenset[str]


def verify(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Signature | None:
    """None unless the signature is that of this request, made with `SECRET`. Header names in lower case."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None or found["key"] != KEY:
        return None
    path, _, query = target.partition("?")
    names = found["names"].split(";")
    lines = [method, path, query]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in names]
    lines += ["", found["names"], hashlib.sha256(body).hexdigest()]
    canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], found["scope"], canonical])
    key = f"AWS4{SECRET}".encode()
    for part in found["scope"].split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() != found["signature"]:
        return None
    return Signature(found["scope"].partition("/")[2], frozenset(names))
