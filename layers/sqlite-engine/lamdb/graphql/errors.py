"""Converts exceptions to entries of a GraphQL response's `errors` list.

An entry has `message`, and `locations`, `path` and `extensions` where they are known
(GraphQL October 2021, section 7.1.2); `extensions.code` is always there.
"""

import copy
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import orjson

from lamdb.errors import DocumentInvalid, LamdbError, MalformedRequest

if TYPE_CHECKING:
    from graphql import GraphQLError
    from graphql.language import Node

log = logging.getLogger("lamdb.graphql")

type Entry = dict[str, Any]
type Path = list[str | int]

# Prisma's words and code (P2033).
TOO_LARGE_INTEGER = (
    "Query parsing failure: A number used in the query does not fit into a 64 bit signed integer. "
    "Consider using `BigInt` as field type if you're trying to store large integers."
)
INTERNAL_MESSAGE = "Internal error; the server's log has the details."

_DETAILED: ContextVar[bool] = ContextVar("lamdb_detailed_errors", default=False)


@contextmanager
def detailed() -> Iterator[None]:
    """In the block, errors say all they know: for operators, and for those at the machine itself."""
    token = _DETAILED.set(True)
    try:
        yield
    finally:
        _DETAILED.reset(token)


def locations_of(nodes: Sequence["Node"]) -> list[dict[str, int]]:
    """Line and column (both from 1) of each node that knows its place."""
    # Who only refuses requests has no need of graphql-core, which takes 75 ms to import.
    from graphql.language.location import get_location

    places = []
    for node in nodes:
        if node.loc:
            place = get_location(node.loc.source, node.loc.start)
            places.append({"line": place.line, "column": place.column})
    return places


def entry(
    error: LamdbError, *, locations: list[dict[str, int]] | None = None, path: Path | None = None
) -> Entry:
    """The entry of an error that lamDB raised on purpose.

    The places in its message are for operators: clients get `LamdbError.public`, and the log has the rest.
    """
    if error.public is not None and not _DETAILED.get():
        log.error(
            "an error was answered without its details", extra={"code": error.code, "reason": error.message}
        )
        error = _for_clients(error, error.public)
    made: Entry = {"message": error.message}
    if locations:
        made["locations"] = locations
    if path is not None:
        made["path"] = path
    made["extensions"] = error.extensions()
    if "meta" in made["extensions"]:
        made["extensions"]["meta"] = _concise(made["extensions"]["meta"])
    return made


def _for_clients(error: LamdbError, public: str) -> LamdbError:
    """The error with a message, a hint and numbers that name no place."""
    told = copy.copy(error)
    told.args, told.message, told.hint = (public,), public, type(error).hint
    told.meta = {name: value for name, value in error.meta.items() if isinstance(value, int)}
    return told


# Where Prisma refuses a value it describes every input type that would have done, with all their fields.
_DESCRIPTIONS = frozenset({"inputType", "inputTypes", "outputType", "arguments"})
_MAX_UNION_ERRORS = 10


def _concise(meta: dict[str, Any]) -> dict[str, Any]:
    """Prisma's `meta` without the descriptions of whole types, which may take 100 KB."""
    made = {name: value for name, value in meta.items() if name not in _DESCRIPTIONS}
    if isinstance(errors := made.get("errors"), list):
        made["errors"] = [
            _concise(each) if isinstance(each, dict) else each for each in errors[:_MAX_UNION_ERRORS]
        ]
    return made


def internal(
    error: BaseException, *, locations: list[dict[str, int]] | None = None, path: Path | None = None
) -> Entry:
    """The entry of a fault: the log gets the stack, the client gets no detail."""
    if (refused := unreadable(error)) is not None:
        return entry(refused, locations=locations, path=path)
    log.error("internal error while answering a GraphQL request", exc_info=error)
    return entry(LamdbError(INTERNAL_MESSAGE), locations=locations, path=path)


def unreadable(error: BaseException) -> MalformedRequest | None:
    """The refusal of a request whose values cannot be written as JSON, if `error` comes from trying to.

    JSON may have half of a surrogate pair (`"\\ud800"`), and Python's parser lets it through, as it does
    lists in lists in lists.
    """
    text = str(error)
    if isinstance(error, UnicodeEncodeError) or "surrogates not allowed" in text:
        return MalformedRequest(
            "A text of the request has half of a surrogate pair (U+D800 to U+DFFF), which is not Unicode.",
            hint="Send text that can be encoded in UTF-8.",
        )
    if isinstance(error, RecursionError) or "Recursion limit reached" in text:
        return MalformedRequest("The request nests too deeply.", hint="Send flatter values.")
    return None


def written(value: Any) -> bytes:
    """A response as JSON, also if it quotes text that is not Unicode: `?` replaces the invalid parts."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def graphql_entry(error: "GraphQLError", code: str) -> Entry:
    """The entry of an error that graphql-core found; the code that the error carries wins over `code`."""
    made: Entry = {"message": error.message}
    if error.locations:
        made["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        made["path"] = list(error.path)
    made["extensions"] = {"code": code, **(error.extensions or {})}
    return made


def syntax_error(error: "GraphQLError") -> DocumentInvalid:
    """A document that does not parse."""
    return DocumentInvalid(
        error.message, code="GRAPHQL_PARSE_FAILED", entries=[graphql_entry(error, "GRAPHQL_PARSE_FAILED")]
    )


def validation_errors(errors: Sequence["GraphQLError"]) -> DocumentInvalid:
    """A document that validation refused; `errors` is not empty."""
    entries = [graphql_entry(error, DocumentInvalid.code) for error in errors]
    return DocumentInvalid(errors[0].message, entries=entries)


def with_prismas_words(message: str, error: Entry) -> str:
    """The message of an error that GraphQL describes by `message`, and Prisma by `error`.

    Clients that know Prisma look for its words.
    """
    return f"{message} (Prisma: {error['message']})"


def invalid(
    message: str, *, code: str = DocumentInvalid.code, nodes: Sequence["Node"] = ()
) -> DocumentInvalid:
    """A document that lamDB itself refuses, at the place of `nodes`."""
    made: Entry = {"message": message}
    if places := locations_of(nodes):
        made["locations"] = places
    made["extensions"] = {"code": code}
    return DocumentInvalid(message, code=code, entries=[made])
