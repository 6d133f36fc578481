"""A second implementation of the client's side, for requests that no SDK would send: it signs, then a test changes."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from kmskit.emulator import Cloud, Identity


def pct(text: str) -> str:
    return quote(text, safe="-_.~")


def joined(pairs: dict[str, str]) -> str:
    return "&".join(f"{pct(name)}={pct(pairs[name])}" for name in sorted(pairs))


def stamp(ahead: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead))


@dataclass
class Signed:
    """A request ready to be sent, and open to change."""

    method: str = "POST"
    query: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return joined(self.form).encode()

    @property
    def target(self) -> str:
        return f"/?{joined(self.query)}" if self.query else "/"


def acs3(who: Identity, host: str, action: str, query: dict[str, str], *, ahead: float = 0.0) -> Signed:
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-version": "2016-01-20",
        "x-acs-date": stamp(ahead),
        "x-acs-signature-nonce": uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
    }
    if who.security_token:
        headers["x-acs-security-token"] = who.security_token
    names = sorted(headers)
    listed, body_hash = "".join(f"{name}:{headers[name]}\n" for name in names), headers["x-acs-content-sha256"]
    canonical = "\n".join(["POST", "/", joined(query), listed, ";".join(names), body_hash])
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(who.access_key_secret.encode(), to_sign.encode(), "sha256").hexdigest()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={who.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return Signed("POST", dict(query), {}, headers)


def v1(who: Identity, action: str, parameters: dict[str, str], *, in_form: bool = False, ahead: float = 0.0) -> Signed:
    given = {
        "Format": "JSON",
        **parameters,
        "Action": action,
        "Version": "2016-01-20",
        "AccessKeyId": who.access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid4().hex,
        "Timestamp": stamp(ahead),
    }
    if who.security_token:
        given["SecurityToken"] = who.security_token
    to_sign = f"POST&%2F&{pct(joined(given))}"
    mac = hmac.new(f"{who.access_key_secret}&".encode(), to_sign.encode(), "sha1")
    given["Signature"] = b64encode(mac.digest()).decode()
    if in_form:
        return Signed("POST", {}, given, {"content-type": "application/x-www-form-urlencoded"})
    return Signed("POST", given)


class Line:
    """One kept-alive connection to a gateway."""

    def __init__(self, cloud: Cloud, instance: str = "") -> None:
        gateway = cloud.instances[instance] if instance else cloud
        self.host = gateway.endpoint
        self._context = ssl.create_default_context(cafile=gateway.ca_path)
        self._connection = http.client.HTTPSConnection(self.host, context=self._context, timeout=30)

    def send(self, request: Signed) -> tuple[int, dict[str, Any]]:
        answer, body = self.exchange(request)
        return answer.status, json.loads(body)

    def exchange(self, request: Signed) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {"host": self.host, **request.headers}
        self._connection.request(request.method, request.target, request.body or None, headers)
        answer = self._connection.getresponse()
        return answer, answer.read()

    def close(self) -> None:
        self._connection.close()
