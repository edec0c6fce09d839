"""Applies changes in other services to records of the database, as a schema's `Mirror`s declare."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw
import orjson

from lamdb.cluster.sources import versions
from lamdb.cluster.sources.records import RecordChange, version_of
from lamdb.cluster.sources.values import ABSENT, at, protocol
from lamdb.errors import EventError
from lamdb.prisma.datamodel.mirrors import Mirror, MirroredColumn, MirrorSource, SourceKind
from lamdb.prisma.query.engine import QueryEngine

ANY_QUEUE = "*"


class Mirroring:
    """The mirrors of one schema."""

    def __init__(self, engine: QueryEngine, mirrors: Sequence[Mirror]) -> None:
        self._engine = engine
        self._mirrors = mirrors

    def apply(self, connection: apsw.Connection, change: RecordChange) -> bool:
        """True if anything was done: a change that is older than what is known is passed over.

        Raises `EventError` or `QueryError` for what cannot be done; the caller then undoes the whole.
        """
        fed = list(self._fed_by(change))
        done = [_Following(self._engine, mirror, change).apply(connection, source) for mirror, source in fed]
        return any(done)

    def _fed_by(self, change: RecordChange) -> Iterator[tuple[Mirror, MirrorSource]]:
        """Raises `EventError` if nothing mirrors the source; what its prefix leaves out is no error."""
        named = [
            (mirror, source)
            for mirror in self._mirrors
            for source in mirror.sources
            if source.kind is change.kind and source.name in {change.name, _any(change.kind)}
        ]
        if not named:
            raise EventError(
                f"No model mirrors {change.kind}:{change.name}.",
                hint="Annotate one with `/// @lamdb.mirror`, deploy the schema, then send the event again.",
            )
        fed = set()
        for mirror, source in named:
            if mirror.model not in fed and str(change.item.get("key", "")).startswith(source.prefix):
                fed.add(mirror.model)
                yield mirror, source


class _Following:
    """One change to one model."""

    def __init__(self, engine: QueryEngine, mirror: Mirror, change: RecordChange) -> None:
        self._engine = engine
        self._mirror = mirror
        self._change = change

    def apply(self, connection: apsw.Connection, source: MirrorSource) -> bool:
        key = self._key()
        where = versions.digest(self._mirror.model, orjson.dumps(key, option=orjson.OPT_SORT_KEYS))
        version, exact = self._version()
        known = versions.find(connection, where)
        if known is not None and (version < known.version or (exact and version == known.version)):
            return False
        removes = self._change.removes or source.removes
        if removes and self._keeps_another_revision(known):
            return False
        if removes:
            self._run(connection, "deleteMany", {"where": key}, {"count": True})
        else:
            self._write(connection, key)
        versions.keep(connection, where, version, self._change.revision, removed=removes)
        return True

    def _key(self) -> dict[str, Any]:
        columns = {column.name: column for column in self._mirror.columns}
        key = {}
        for name in self._mirror.key:
            value = self._at(columns[name])
            if value is ABSENT or value is None:
                path = ".".join(columns[name].path)
                raise EventError(f"The event has no {path!r}, by which {self._mirror.model} is found.")
            key[name] = protocol(columns[name], value)
        return key

    def _version(self) -> tuple[str, bool]:
        path = self._mirror.version
        if path is None:
            return self._change.version, self._change.exact
        root = self._change.event if self._mirror.version_from_event else self._change.item
        return version_of(at(root, path)), True

    def _keeps_another_revision(self, known: versions.Known | None) -> bool:
        """True if it was an earlier revision of an object that was removed."""
        if not self._change.revision_only or known is None or known.revision is None:
            return False
        return known.revision != self._change.revision

    def _write(self, connection: apsw.Connection, key: dict[str, Any]) -> None:
        values, missing = self._values()
        others = {name: value for name, value in values.items() if name not in key}
        if not missing:
            where = key if len(key) == 1 else {self._mirror.unique: key}
            arguments = {"where": where, "create": values, "update": others}
            self._run(connection, "upsertOne", arguments, dict.fromkeys(key, True))
            return
        changed = self._run(connection, "updateMany", {"where": key, "data": others}, {"count": True})
        if not changed["count"]:
            raise EventError(
                f"There is no {self._mirror.model} to change, and the event lacks {', '.join(missing)} "
                "for a new one.",
                hint="Send the event again once there is one.",
            )

    def _values(self) -> tuple[dict[str, Any], list[str]]:
        """The values that the event sets, and the required fields that it lacks."""
        values, missing = {}, []
        for column in self._mirror.columns:
            value = self._at(column)
            if value is ABSENT and not column.required and self._change.complete and not column.has_default:
                value = None
            if value is not ABSENT:
                values[column.name] = protocol(column, value)
            elif column.required and not column.has_default:
                missing.append(column.name)
        return values, missing

    def _at(self, column: MirroredColumn) -> Any:
        return at(self._change.event if column.from_event else self._change.item, column.path)

    def _run(
        self,
        connection: apsw.Connection,
        action: str,
        arguments: Mapping[str, Any],
        selection: Mapping[str, Any],
    ) -> Any:
        query = {"arguments": dict(arguments), "selection": dict(selection)}
        request = {"modelName": self._mirror.model, "action": action, "query": query}
        return self._engine.run(connection, request)


def _any(kind: SourceKind) -> str | None:
    return ANY_QUEUE if kind is SourceKind.SQS else None
