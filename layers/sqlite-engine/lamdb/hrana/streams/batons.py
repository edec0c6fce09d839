"""Batons that hold their stream: everything that the next request needs, signed.

A baton is `4.MARK.CONTENT.SIGNATURE`: `MARK` says what `routing` has to know, `CONTENT` is JSON, compressed
if it is long. The statements of a long transaction are in objects, which the baton names (`log_parts`). The
signature keeps clients from making up states. What a client may do is decided anew with each request.
"""

import base64
import binascii
import hmac
import zlib
from hashlib import sha256
from typing import Any, Final

import orjson

from lamdb.access.identity import Role
from lamdb.errors import StoreUnavailable
from lamdb.hrana.protocol.requests import Step
from lamdb.hrana.statements.errors import SqlFailure, StreamNotFound, busy
from lamdb.hrana.statements.text import many, one
from lamdb.hrana.statements.values import decode, encode
from lamdb.hrana.streams.log_parts import LogParts
from lamdb.hrana.transaction.session import Log, StreamSession

type Json = dict[str, Any]

_VERSION: Final = "4"
_LONGEST: Final = 3 * 1024 * 1024
"""Characters of a baton. Requests and responses of Lambda have 6 MB at most: half is left for statements and
results.
"""
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Largest content of a baton."""
_SIGNATURE_BYTES: Final = 16
_COMPRESSED_FROM: Final = 512
"""Bytes of content: compressing less takes longer than it saves."""

IDLE, READS, WRITES = "i", "r", "w"
"""Marks: outside a transaction, in one that has only read, in one that has written."""


def seal(session: StreamSession, key: bytes, parts: LogParts | None = None) -> str:
    """Returns the baton of a stream. Raises `SqlFailure` if its transaction is too large for one.

    With `parts`, the statements of a long transaction are kept there. Raises `NeedsWriter` if they can only
    be read here.
    """
    text = _text(session)
    if parts is not None and session.log is not None and len(text) > parts.longest_baton:
        try:
            if _keep(session.log, _transaction(session), parts):
                text = _text(session)
        except StoreUnavailable as error:
            if len(text) > _LONGEST:
                raise busy(f"SQLite error: {error.message}") from error
    if len(text) > _LONGEST:
        raise too_large()
    return f"{text}.{_signature(text, key)}"


def _keep(log: Log, transaction: str, parts: LogParts) -> bool:
    """Moves statements into an object; False if they are too few."""
    steps = log.steps[log.in_parts :]
    content = orjson.dumps([_written(step) for step in steps])
    if len(content) < parts.smallest:
        return False
    if log.part_bytes + len(content) > parts.most_bytes:
        raise too_large()
    log.parts.append(parts.keep(transaction, content, steps))
    log.in_parts += len(steps)
    log.part_bytes += len(content)
    return True


def load(session: StreamSession, parts: LogParts) -> None:
    """Adds the statements of a stream that are in objects. Raises `StreamNotFound`, `StoreUnavailable`."""
    if (log := session.log) is not None and log.parts:
        log.steps[:0] = parts.load(_transaction(session), log.parts, _steps)


def _steps(content: bytes) -> list[Step]:
    return [_read(written) for written in orjson.loads(content)]


def _transaction(session: StreamSession) -> str:
    return f"{session.id} {session.transactions}"


def too_large() -> SqlFailure:
    """Returns the failure of a transaction whose log exceeds a limit."""
    return SqlFailure("The transaction is too large for several requests: send it in one.", "SQLITE_FULL")


def _text(session: StreamSession) -> str:
    content = orjson.dumps(_content(session))
    if len(content) >= _COMPRESSED_FROM:
        content = zlib.compress(content)
    log = session.log
    mark = IDLE if log is None else WRITES if log.changed else READS
    return f"{_VERSION}.{mark}.{base64.urlsafe_b64encode(content).rstrip(b'=').decode()}"


def unseal(baton: str, key: bytes, role: Role, principal: str) -> StreamSession:
    """Returns the stream of a baton. Raises `StreamNotFound`."""
    text, _, signature = baton.rpartition(".")
    parts = text.split(".")
    is_ours = len(baton) <= _LONGEST + 100 and hmac.compare_digest(
        signature.encode(), _signature(text, key).encode()
    )
    if not is_ours or len(parts) != 3 or parts[0] != _VERSION:
        raise StreamNotFound("The baton was not issued for this database.")
    try:
        packed = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
        if not packed.startswith(b"{"):
            packed = zlib.decompressobj().decompress(packed, _MOST_BYTES)
        content = orjson.loads(packed)
        session = _session(content, role, principal)
    except (binascii.Error, zlib.error, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StreamNotFound("The baton cannot be read.") from error
    if content["principal"] != principal or content["role"] != role:
        raise StreamNotFound("The baton was given to somebody else.")
    return session


def _content(session: StreamSession) -> Json:
    content: Json = {
        "id": session.id,
        "role": session.role,
        "principal": session.principal,
        "sequence": session.sequence,
        "stored": [[number, text] for number, text in session.stored.items()],
        "rowid": session.rowid,
        "txid": session.txid,
        "foreign_keys": session.pragmas.foreign_keys,
        "lost": session.was_lost,
        "doomed": session.doomed,
        "transactions": session.transactions,
    }
    if (log := session.log) is not None:
        content["log"] = {
            "base": log.base,
            "clock": log.clock,
            "rowid": log.rowid,
            "chain": log.chain.hex(),
            "changed": log.changed,
            "parts": log.parts,
            "in_parts": log.in_parts,
            "part_bytes": log.part_bytes,
            "steps": [_written(step) for step in log.steps[log.in_parts :]],
        }
    return content


def _session(content: Json, role: Role, principal: str) -> StreamSession:
    session = StreamSession(
        content["id"],
        role,
        principal,
        sequence=content["sequence"],
        stored=dict(content["stored"]),
        rowid=content["rowid"],
        txid=content["txid"],
        was_lost=content["lost"],
        transactions=content["transactions"],
    )
    session.pragmas.foreign_keys = content["foreign_keys"]
    session.doomed = content["doomed"]
    if session.doomed is not None:
        session.scope.begin(-1)
    if (log := content.get("log")) is not None:
        session.log = Log(
            log["base"],
            log["clock"],
            log["rowid"],
            [_read(step) for step in log["steps"]],
            bytes.fromhex(log["chain"]),
            log["changed"],
            log["parts"],
            log["in_parts"],
            log["part_bytes"],
        )
        session.scope.begin(-1)
    return session


def _written(step: Step) -> list[Any]:
    assert step.sql is not None
    return [step.sql.text, [encode(value) for value in step.bindings], step.want_rows, step.is_script]


def _read(written: list[Any]) -> Step:
    text, bindings, want_rows, is_script = written
    sql = many(text)[0] if is_script else one(text)
    return Step(0, 0, sql, [decode(value) for value in bindings], want_rows)


def _signature(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()[: 2 * _SIGNATURE_BYTES]
