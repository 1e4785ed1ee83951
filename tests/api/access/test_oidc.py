"""Tokens of other issuers: a valid one is worth what rules say, and nothing else gets in, or makes a 500."""

import base64
import json
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from api.access import issuers as module
from api.access.issuers import Issuers, read_issuers
from api.access.tokens import Tokens
from schema.store import tokens
from tests.api.conftest import FrontOfTest, Tree

ISSUER, AUDIENCE = "https://id.example.org", "filestore"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SECRET = b"s" * 33
PUBLIC = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(key: Any, kid: str) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    told: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
    return told | {"kid": kid, "use": "sig"}


KEYS = {
    "keys": [jwk(RSA, "r"), jwk(EC, "e"), {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode(), "kid": "s"}]
}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, "groups": ["staff"]} | changes
    return {name: value for name, value in told.items() if value is not ...}


def signed(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r", **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def entry(path: Path, **changes: Any) -> dict[str, Any]:
    rules = [{"when": {"groups": "staff"}, "scopes": ["filestore:read"], "grants": [{"pattern": "team"}]},
             {"when": {"groups": "admins"}, "scopes": ["filestore:admin"]}]  # fmt: skip
    told = {"name": "corp", "issuer": ISSUER, "audience": AUDIENCE, "jwksPath": str(path / "keys"), "leewaySeconds": 5}
    return {name: value for name, value in (told | {"rules": rules} | changes).items() if value is not None}


def trust(front: FrontOfTest, path: Path, **changes: Any) -> Issuers:
    """The front trusts this issuer from now on."""
    (path / "keys").write_text(json.dumps(KEYS))
    file = path / "issuers.yaml"
    file.write_text(yaml.safe_dump({"issuers": [entry(path, **changes)]}))
    known = read_issuers(front.pool, str(file))
    assert known is not None
    front.app.state.front = type(front.app.state.front)(
        **{name: getattr(front.app.state.front, name) for name in type(front.app.state.front).__dataclass_fields__}
        | {"tokens": Tokens(front.pool, issuers=known)}
    )
    return known


@pytest.fixture
def trusted(front: FrontOfTest, tmp_path: Path) -> Issuers:
    return trust(front, tmp_path)


async def asked(front: FrontOfTest, token: str, path: str = "/v1/backend-mounts") -> httpx2.Response:
    async with front.client() as client:
        return await client.get(path, headers=[(b"authorization", b"Bearer " + token.encode("utf-8", "surrogatepass"))])


@pytest.mark.usefixtures("trusted")
async def test_a_valid_token_is_worth_what_rules_say(front: FrontOfTest, tree: Tree) -> None:
    await tree.directory("team")
    await tree.file("team/f")
    await tree.file("other")
    for token in (signed(), signed(EC, "ES256", "e"), signed(aud=["x", AUDIENCE])):
        answer = await asked(front, token, f"/v1/nodes?backendMountId={tree.mount}")
        assert answer.status_code == 200, answer.text
        assert [node["path"] for node in answer.json()["data"]["nodes"]] == ["team", "team/f"]
    assert (await asked(front, signed(), "/v1/tokens")).status_code == 403
    assert (await asked(front, signed(groups=["admins"]), "/v1/tokens")).status_code == 200
    listed = await asked(front, signed(groups=["admins"]), "/v1/tokens?principal=corp:ann")
    assert {one["principal"] for one in listed.json()["data"]["tokens"]} == {"corp:ann"}


def forged(header: dict[str, Any], told: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(told).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def hmac_with_the_public_key() -> str:
    """PyJWT refuses to make one."""
    import hashlib
    import hmac

    text = forged({"alg": "HS256", "kid": "r", "typ": "JWT"}, claims()).rpartition(".")[0]
    signature = hmac.digest(PUBLIC, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def refused() -> dict[str, str]:
    now, good = int(time.time()), signed()
    own = {"jwk": jwk(STRANGER, "r"), "kid": "r"}
    head, body, signature = good.split(".")
    return {
        "expired": signed(exp=now - 60),
        "not yet valid": signed(nbf=now + 60),
        "made in the future": signed(iat=now + 60),
        "wrong audience": signed(aud="another"),
        "no audience": signed(aud=...),
        "wrong issuer": signed(iss="https://evil.example.org"),
        "issuer with a slash": signed(iss=f"{ISSUER}/"),
        "no issuer": signed(iss=...),
        "an issuer that is a list": forged({"alg": "RS256", "kid": "r"}, claims(iss=[ISSUER]), b"x"),
        "no expiry": signed(exp=...),
        "no subject": signed(sub=...),
        "no rule": signed(groups=["others"]),
        "alg none": jwt.encode(claims(), "", algorithm="none"),
        "alg None": forged({"alg": "None", "kid": "r"}, claims()),
        "alg missing": forged({"kid": "r"}, claims()),
        "another key": signed(STRANGER),
        "another key's name": signed(kid="e"),
        "an unknown key": signed(kid="x"),
        "no key named of two": signed(kid=None),
        "the secret key of the set": jwt.encode(claims(), SECRET, algorithm="HS256", headers={"kid": "s"}),
        "the public key as a secret": hmac_with_the_public_key(),
        "an algorithm that is not listed": signed(algorithm="PS256"),
        "a key in the token itself": jwt.encode(claims(), STRANGER, algorithm="RS256", headers=own),
        "critical headers": jwt.encode(claims(), RSA, algorithm="RS256", headers={"kid": "r", "crit": ["b64"], "b64": False}),
        "no signature": f"{head}.{body}.",
        "another body": f"{head}.{forged({}, claims(sub='eve')).split('.')[1]}.{signature}",
        "a long one": f"{head}.{body}{'A' * 20_000}.{signature}",
    }  # fmt: skip


@pytest.mark.usefixtures("trusted")
async def test_nothing_else_gets_in(front: FrontOfTest) -> None:
    assert (await asked(front, signed())).status_code == 200
    for why, token in refused().items():
        answer = await asked(front, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED"), (why, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.usefixtures("trusted")
async def test_fuzzed_tokens_never_get_in_and_never_make_a_defect(front: FrontOfTest) -> None:
    chosen, good = random.Random(11), signed()
    strange = ["..", "a.b.c", ".".join(["e30"] * 3), ".".join(["bnVsbA"] * 3), ".".join(["W10"] * 3), "é.é.é"]
    headers: tuple[Any, ...] = (
        [], None, 5, {"alg": []}, {"alg": {}}, {"alg": "RS256", "kid": []}, {"alg": "RS256", "kid": {"a": 1}},
    )  # fmt: skip
    bodies: tuple[Any, ...] = (
        [], None, {"iss": {}}, {"iss": ISSUER, "exp": "x"}, claims(exp=1e400), claims(exp=[]), claims(nbf="x"), claims(aud=5),
    )  # fmt: skip
    signable: tuple[dict[str, Any], ...] = (
        {"exp": "9"}, {"exp": -(2**63)}, {"sub": 5}, {"sub": ["a"]}, {"sub": ""}, {"aud": {}}, {"iat": "x"}, {"nbf": 2**200},
    )  # fmt: skip
    strange += [forged(header, claims(), b"x") for header in headers]
    strange += [forged({"alg": "RS256", "kid": "r"}, body, b"x") for body in bodies]
    strange += [signed(**changes) for changes in signable]
    for _ in range(150):
        text = list(good)
        for _ in range(chosen.randrange(1, 4)):
            text[chosen.randrange(len(text) - 3)] = chosen.choice("AZaz09-_.")
        strange.append("".join(text))
    for token in set(strange) - {good}:
        answer = await asked(front, token)
        assert answer.status_code == 401, (token, answer.status_code, answer.text)


@pytest.mark.parametrize("exp", [2**63, 2**200, 1e300])
@pytest.mark.usefixtures("trusted")
async def test_one_that_holds_for_ages_is_kept_for_a_year(front: FrontOfTest, exp: float) -> None:
    assert (await asked(front, signed(sub=f"ages-{exp}", exp=exp))).status_code == 200


@pytest.mark.usefixtures("trusted")
async def test_clocks_may_differ_a_little(front: FrontOfTest) -> None:
    now = int(time.time())
    assert (await asked(front, signed(exp=now - 2))).status_code == 200
    assert (await asked(front, signed(nbf=now + 2, iat=now + 2))).status_code == 200


@pytest.mark.usefixtures("trusted")
async def test_its_row_can_be_revoked_here(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    token = signed(sub="locked-out")
    assert (await asked(front, token)).status_code == 200
    [row] = (await admin.get("/v1/tokens", params={"principal": "corp:locked-out"})).json()["data"]["tokens"]
    assert (row["hint"], row["grants"][0]["pattern"]) == ("oidc", "team")
    assert (await admin.post(f"/v1/tokens/{row['id']}/revoke")).is_success
    front.app.state.front.tokens._answers.clear()
    assert (await asked(front, token)).status_code == 401
    assert (await asked(front, signed(sub="locked-out", exp=int(time.time()) + 900))).status_code == 401, "and stays so"


async def test_a_row_is_no_token_that_could_be_sent(front: FrontOfTest, trusted: Issuers) -> None:
    digest = await trusted.digest_of(signed())
    assert (await asked(front, digest.hex())).status_code == 401
    assert not tokens.is_token(digest.hex())


async def test_keys_of_a_file_are_read_again_when_it_changes(
    front: FrontOfTest, trusted: Issuers, tmp_path: Path
) -> None:
    assert (await asked(front, signed(STRANGER, kid="new"))).status_code == 401
    (tmp_path / "keys").write_text(json.dumps({"keys": [jwk(STRANGER, "new")]}))
    assert (await asked(front, signed(STRANGER, kid="new"))).status_code == 200
    assert (await asked(front, signed(sub="another"))).status_code == 401, "the old key is gone"


@pytest.fixture
def published() -> Iterator[tuple[str, dict[str, Any]]]:
    """An address of keys, and what it answers."""
    told: dict[str, Any] = {"status": 200, "body": json.dumps(KEYS), "asked": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told["asked"] += 1
            body = told["body"].encode()
            self.send_response(told["status"])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet"""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/keys", told
    server.shutdown()
    server.server_close()


async def test_keys_of_an_address_are_kept_and_unknown_ones_make_few_requests(
    front: FrontOfTest, tmp_path: Path, published: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, told = published
    known = trust(front, tmp_path, jwksPath=None, jwksUrl=url)
    told["status"] = 500
    assert (await asked(front, signed())).status_code == 503, "without any key nothing can be told"
    monkeypatch.setattr(module, "MISS_SECONDS", 0.0)
    told["status"] = 200
    assert (await asked(front, signed())).status_code == 200
    before = told["asked"]
    assert (await asked(front, signed(kid="unknown"))).status_code == 401
    assert told["asked"] == before + 1, "it may be new"
    monkeypatch.setattr(module, "MISS_SECONDS", 1e9)
    for number in range(20):
        assert (await asked(front, signed(sub=f"s{number}"))).status_code == 200
        assert (await asked(front, signed(kid=f"unknown{number}"))).status_code == 401
    assert told["asked"] == before + 1
    monkeypatch.setattr(module, "KEYS_SECONDS", 0.0)
    monkeypatch.setattr(module, "MISS_SECONDS", 0.0)
    told["status"] = 500
    assert (await asked(front, signed(sub="later"))).status_code == 200, "known keys go on where the issuer is away"
    assert known.known[ISSUER].keys._keys.keys() == {"r", "e"}, "a secret key is none"


@pytest.mark.parametrize(
    "text",
    ["", "issuers: 5", "issuers: [{}]", "{", json.dumps({"issuers": [{"name": "x"}]})],
)
async def test_a_file_that_can_not_be_read_trusts_no_issuer(front: FrontOfTest, tmp_path: Path, text: str) -> None:
    file = tmp_path / "issuers"
    file.write_text(text)
    assert read_issuers(front.pool, str(file)) is None
    assert read_issuers(front.pool, str(tmp_path / "none")) is None and read_issuers(front.pool, None) is None


@pytest.mark.parametrize(
    "changes",
    [{"algorithms": ["HS256"]}, {"algorithms": ["none"]}, {"name": "link"}, {"name": "A b"}, {"jwksUrl": "https://x/"},
     {"rules": []}, {"jwksPath": None}, {"unknown": 1}, {"rules": [{"scopes": ["nothing"]}]},
     {"leewaySeconds": 1e6}, {"audience": ""}],
)  # fmt: skip
async def test_an_entry_that_is_wrong_trusts_no_issuer(
    front: FrontOfTest, tmp_path: Path, changes: dict[str, Any]
) -> None:
    file = tmp_path / "issuers"
    file.write_text(yaml.safe_dump({"issuers": [entry(tmp_path, **changes)]}))
    assert read_issuers(front.pool, str(file)) is None
