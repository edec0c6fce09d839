"""JSON Web Tokens: what is accepted, and the attacks that are not."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lamdb.access.callers import Callers
from lamdb.access.jwts import JwtOptions, Jwts
from lamdb.access.keys import create
from lamdb.errors import Forbidden, FunctionUnavailable, SettingsError, Unauthorized
from lamdb.settings import Settings
from lamdb.storage import Database

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
SECRET = "a secret that is long enough: 32 bytes"


def jwk(key: Any, kid: str) -> dict[str, Any]:
    algorithm: Any = jwt.algorithms.RSAAlgorithm if key is RSA else jwt.algorithms.ECAlgorithm
    found: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**found, "kid": kid}


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk(RSA, "r"), jwk(EC, "e")]}))
    return path


def token(key: Any = RSA, kid: str | None = "r", algorithm: str = "RS256", **claims: Any) -> str:
    content = {"sub": "7", "exp": time.time() + 60, **claims}
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode({k: v for k, v in content.items() if v is not None}, key, algorithm, headers)


def test_tokens_of_a_key_set(jwks: Path) -> None:
    verifier = Jwts(JwtOptions(jwks=str(jwks)))
    for made in (token(), token(EC, "e", "ES256"), token(lamdb_role="read"), token(lamdb_role="admin")):
        identity, expires = verifier.identify(made)
        assert expires is not None
        claims = jwt.decode(made, options={"verify_signature": False})
        assert identity.role == claims.get("lamdb_role", "write")
        assert (identity.caller is None) == (identity.role == "admin")
        if identity.caller is not None:
            assert identity.caller.claims == claims


def test_a_shared_secret() -> None:
    verifier = Jwts(JwtOptions(secret=SECRET, role="read"))
    assert verifier.identify(token(SECRET, None, "HS256"))[0].role == "read"
    with pytest.raises(Unauthorized):
        verifier.identify(token(SECRET + "!", None, "HS256"))
    with pytest.raises(Unauthorized):
        verifier.identify(token())


def unsigned() -> str:
    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'kid': 'r'})}.{part({'sub': '7', 'exp': time.time() + 60})}."


def confused() -> str:
    """A token whose HMAC key is the public key, for verifiers that take the algorithm from the token."""
    public = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'kid': 'r'})}.{part({'sub': '7', 'exp': time.time() + 60})}"
    signature = base64.urlsafe_b64encode(hmac.digest(public, text.encode(), hashlib.sha256)).rstrip(b"=")
    return f"{text}.{signature.decode()}"


REFUSED: dict[str, Callable[[], str]] = {
    "unsigned": unsigned,
    "algorithm confusion": confused,
    "another algorithm": lambda: token(EC, "r", "ES256"),
    "unknown key": lambda: token(kid="other"),
    "no key": lambda: token(kid=None),
    "expired": lambda: token(exp=time.time() - 60),
    "no end": lambda: token(exp=None),
    "not yet": lambda: token(nbf=time.time() + 600),
    "another issuer": lambda: token(iss="https://other.example", aud="api"),
    "no issuer": lambda: token(iss=None, aud="api"),
    "another audience": lambda: token(iss="https://a.example", aud="other"),
    "no audience": lambda: token(iss="https://a.example", aud=None),
    "empty": lambda: "",
    "not base64": lambda: "a.b.c",
    "no header": lambda: "e30.e30.",
    "long": lambda: "x" * 20_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_tokens_that_are_refused(name: str, jwks: Path) -> None:
    verifier = Jwts(JwtOptions(jwks=str(jwks), issuer="https://a.example", audience="api"))
    good = token(iss="https://a.example", aud=["api", "b"])
    assert verifier.identify(good)[0].role == "write"
    with pytest.raises(Unauthorized):
        verifier.identify(REFUSED[name]())


def test_an_unknown_role_is_refused(jwks: Path) -> None:
    with pytest.raises(Forbidden):
        Jwts(JwtOptions(jwks=str(jwks))).identify(token(lamdb_role="owner"))


def test_a_key_set_is_read_again_for_a_new_key_but_not_for_each_unknown_one(
    jwks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("lamdb.access.jwts.time.monotonic", lambda: now[0])
    verifier = Jwts(JwtOptions(jwks=str(jwks)))
    verifier.identify(token())
    reads = []
    original = verifier._read
    monkeypatch.setattr(verifier, "_read", lambda: (reads.append(1), original()))
    for _ in range(20):
        with pytest.raises(Unauthorized):
            verifier.identify(token(kid="new"))
    assert len(reads) == 0
    jwks.write_text(json.dumps({"keys": [jwk(RSA, "new")]}))
    now[0] += 11
    assert verifier.identify(token(kid="new"))[0].role == "write"
    assert len(reads) == 1
    jwks.unlink()
    now[0] += 400
    assert verifier.identify(token(kid="new"))[0].role == "write"


def test_a_key_set_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FunctionUnavailable):
        Jwts(JwtOptions(jwks=str(tmp_path / "none"))).identify(token())
    for options in (JwtOptions(), JwtOptions(jwks="a", secret=SECRET)):
        with pytest.raises(SettingsError):
            Jwts(options)


def test_callers_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.open("memory://")
    with database.writer() as connection:
        made, key = create(connection, name="web", role="read")
    settings = Settings(auth=("keys", "jwt"), jwt_secret=SECRET, operator_token="o" * 20)
    callers = Callers(settings, database)
    by_jwt = token(SECRET, None, "HS256")
    for headers, role in (
        ({"authorization": f"Bearer {key}"}, "read"),
        ({"x-api-key": key}, "read"),
        ({"authorization": f"bearer  {by_jwt}"}, "write"),
        ({"authorization": f"Bearer {'o' * 20}"}, "admin"),
    ):
        assert callers.identify(headers).role == role
        found = callers.known(headers)
        assert found is not None
        assert found.role == role
    for wrong in ({}, {"authorization": "Basic eA=="}):
        with pytest.raises(Unauthorized):
            callers.known(wrong)
    with pytest.raises(Unauthorized):
        callers.identify({"x-api-key": "nothing"})
    with database.writer() as connection:
        connection.execute("DELETE FROM _lamdb_keys WHERE id = ?", (made.id,))
    now = time.time()
    monkeypatch.setattr("lamdb.access.callers.time.time", lambda: now + 6)
    with pytest.raises(Unauthorized):
        callers.identify({"x-api-key": key})
    assert Callers(Settings(auth=("keys",), anonymous_role="read"), database).identify({}).role == "read"
    assert Callers(Settings(), database).identify({}).role == "write"
    database.close()


def test_a_key_is_valid_as_soon_as_another_process_has_made_it(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    with Database.open(url) as served, Database.open(url) as elsewhere:
        callers = Callers(Settings(auth=("keys",)), served)
        for role in ("read", "write", "admin"):
            served.refresh()
            with elsewhere.writer() as connection:
                _, key = create(connection, name=role, role=role)
            assert callers.identify({"x-api-key": key}).role == role


def test_unknown_keys_do_not_each_ask_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    looks: list[int] = []
    with Database.open(f"file://{tmp_path}") as database:
        with database.writer() as connection:
            _, key = create(connection, name="web", role="read")
        monkeypatch.setattr("lamdb.access.callers.time.monotonic", lambda: now[0])
        monkeypatch.setattr(database, "refresh", lambda: looks.append(1))
        callers = Callers(Settings(auth=("keys",)), database)

        def looks_of(token: str, times: int) -> int:
            before = len(looks)
            for _ in range(times):
                with pytest.raises(Unauthorized):
                    callers.identify({"x-api-key": token})
            return len(looks) - before

        for wrong in (key[:-1], key[:-1] + ("a" if key[-1] != "a" else "b"), "lamdb_key_x"):
            assert looks_of(wrong, 3) == 0
        unknown = "lamdb_key_" + "z" * 10 + "_" + "s" * 43
        assert looks_of(unknown, 50) == 10
        now[0] += 2.5
        assert looks_of(unknown, 50) == 2
        assert callers.identify({"x-api-key": key}).role == "read"
