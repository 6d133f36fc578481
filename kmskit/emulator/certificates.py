"""The certificates of the gateways: a CA for each, good for this computer's own names only.

A CA that somebody puts among the trusted ones of a whole computer, and forgets there, could vouch for any name in the
world. So each of these carries a critical name constraint to loopback and to the address that the emulator was told to
listen on (RFC 5280, 4.2.1.10). Its key stays with the state, so that a restart keeps the CA that clients have.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority"]

_CA_DAYS = 3650
_LEAF_DAYS = 397
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Authority:
    """A CA.

    Attributes:
        pem: its certificate, for clients.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self.pem = certificate.public_bytes(Encoding.PEM).decode()

    @classmethod
    def create(cls, name: str, host: str) -> Authority:
        """
        Args:
            name: what the certificate calls itself.
            host: the address that is listened on, beside loopback.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        permitted = [_subtree(each) for each in _names(host)]
        builder = (
            _builder(name, name, key.public_key(), _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def load(cls, text: str) -> Authority:
        """What `dump` wrote."""
        key = load_pem_private_key(text.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("an EC key expected")
        return cls(key, x509.load_pem_x509_certificate(text[text.index("-----BEGIN CERT") :].encode()))

    def dump(self) -> str:
        """Key and certificate in PEM."""
        return _private_pem(self._key) + self.pem

    def covers(self, host: str) -> bool:
        """Whether the CA may vouch for this address: it was made for it, or for loopback alone."""
        constraints = self._certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        permitted = constraints.permitted_subtrees or []
        return all(_subtree(each) in permitted for each in _names(host))

    def server_context(self, host: str) -> ssl.SSLContext:
        """TLS with a fresh server certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._certificate.subject.rfc4514_string().removeprefix("CN=")
        certificate = (
            _builder("kmskit emulator", issuer, key.public_key(), _LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(each) for each in _names(host)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        with TemporaryDirectory(prefix="kmskit-") as folder:  # Mode 0700. Python loads keys from files only.
            path = Path(folder, "server.pem")
            path.touch(0o600)
            path.write_text(_private_pem(key) + certificate.public_bytes(Encoding.PEM).decode())
            context.load_cert_chain(path)
        return context


def _names(host: str) -> list[str]:
    return list(dict.fromkeys((*_LOOPBACK, *([] if _is_any(host) else [host]))))


def _is_any(host: str) -> bool:
    """Whether it stands for all of the computer's addresses. Clients elsewhere cannot verify such a gateway."""
    return host in ("0.0.0.0", "::", "")  # noqa: S104  # Nothing is bound here.


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _subtree(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: str, issuer: str, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
