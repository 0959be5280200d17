"""The files that config/gatewayd.example.toml names, made in a folder beside a copy of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.settings.conftest import CENTRAL_KEYS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "gatewayd.example.toml"

OPERATORS = """\
[[operator]]
name = "li"
role = "administrator"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
z/rOsYMTZjZ7cO+IDnFEwwERAvXYQ7f3Sil3VRvfsB3"
"""


def write_private(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def make_certificate(folder: Path, name: str, password: bytes | None = None) -> None:
    """`name`.pem and `name`.key in `folder`: a self-signed pair."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gatehouse.lan")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    write_private(folder / f"{name}.key", pem.decode())


def example_site(folder: Path) -> Path:
    """A copy of the example with every file that it names; the path of the copy."""
    write_private(folder / "secrets" / "camera-password", "camera\n")
    write_private(folder / "secrets" / "mqtt-password", "broker\n")
    write_private(folder / "secrets" / "pin.key", "0123456789abcdef\n")
    write_private(folder / "secrets" / "gatehouse-back.key", "0123456789abcdef" * 2 + "\n")
    write_private(folder / "operators.toml", OPERATORS)
    (folder / "central-keys.json").write_text(CENTRAL_KEYS)
    make_certificate(folder / "tls", "console")
    make_certificate(folder / "tls", "property-ca")
    copy = folder / "gatewayd.toml"
    copy.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    return copy
