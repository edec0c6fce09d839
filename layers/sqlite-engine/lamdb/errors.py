"""Every error that lamDB raises on purpose.

LamdbError
├── SettingsError            a setting is missing or malformed
│   └── UsageError           a command was called wrongly
├── StorageError
│   ├── StoreUnavailable     the object store did not answer
│   │   ├── StoreRefused     it refused: the request had no effect, and will have none
│   │   └── CommitUnknown    it did not say whether it took a commit
│   ├── StoreUnsuitable      the object store does not do what lamDB needs
│   ├── NotAStore            what is there is not a lamDB store
│   ├── CorruptFile          an LTX file fails its checks
│   ├── Fenced               another writer owns the next TXID
│   ├── ReplicaLag           the wanted TXID did not appear in time
│   ├── NotRestorable        the wanted state is not, or no longer, in the store
│   ├── NotEmpty             the place that was to be filled holds something
│   ├── SourceError          the file to import is not a sound SQLite database
│   ├── TargetError          the file to write exists, or cannot be written
│   ├── ReadOnly             a write on a read-only view
│   └── TransactionTooLarge  more pages than the limit, or than the local disk has room for
├── FileRefused              a file that a command reads or writes, or its folder, cannot be used
├── EngineError              a Prisma engine is missing, or trapped
├── SchemaError              the Prisma schema is not valid
├── NoSchema                 the database carries no schema
├── FunctionError            another function could not be asked
│   ├── Throttled            it had no free environment for as long as there was time
│   ├── FunctionUnavailable  it did not answer, or broke off
│   └── WritePending         a write waits in a queue, and was not answered in time
├── NotPublished             the event bus did not take changes
├── RemoteError              another lamDB refused what a command asked of it
│   └── RemoteUnavailable    it could not be reached, or did not answer
├── MigrationError           a migration failed, or the history disagrees
├── OperatorUnavailable      the operator API is not installed here
├── QueryError               Prisma refused a query, or the data did (P2xxx)
│   └── RuleViolation        the schema's rules do not allow a record
└── RequestError
    ├── MalformedRequest     the request is not GraphQL over HTTP
    ├── PersistedQueryNotFound      the request has the hash of a document that is not kept
    ├── PersistedQueryNotSupported  the same, where none are kept
    ├── NotFound             nothing is at this path
    ├── Unauthorized         the operator's token is missing or wrong
    ├── Forbidden            the request comes from where it may not
    ├── MethodNotAllowed     the path does not know this method
    ├── NotAcceptable        no media type that the client accepts
    ├── UnsupportedMediaType the body is not JSON in UTF-8
    ├── BodyTooLarge         more bytes than the limit
    ├── BodyTimeout          the body did not arrive in time
    ├── Overloaded           too many requests at once
    ├── LimitError           executing the request costs more than is allowed
    │   ├── TimeLimit            more time
    │   ├── TooManyRows          more rows, or more of them in memory
    │   ├── ResponseTooLarge     more bytes in the response
    │   ├── QueryTooCostly       more nested lists, or larger filters and nested writes
    │   └── Cancelled            nobody waits for the answer, or the server stops
    ├── ChangesNotKept       changes after this place of the feed are no longer kept
    ├── AnswerNotKept        it was executed, but its answer was too large to be kept
    ├── EventError           an event of another service cannot be applied
    ├── IdempotencyMismatch  the idempotency key belongs to another request
    ├── DocumentInvalid      syntax or validation errors, each with its place
    ├── DocumentTooLarge     more bytes than the limit
    ├── DocumentTooDeep      more nesting than the limit
    ├── VariablesInvalid     a variable is missing or of the wrong type
    └── SearchInvalid        a search expression is not in FTS5's language
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

type Meta = Mapping[str, Any]


class LamdbError(Exception):
    """The root. `code` is stable and machine-readable; `hint` tells the operator what to do next."""

    code: str = "INTERNAL"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    hint: str = "This is a fault in lamDB; please report it with the message."
    public: ClassVar[str | None] = None
    """Message for API clients, in place of one that may contain paths or addresses. None: it has none."""

    def __init__(
        self, message: str, *, code: str | None = None, hint: str | None = None, meta: Meta | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.meta: dict[str, Any] = dict(meta or {})
        if code is not None:
            self.code = code
        if hint is not None:
            self.hint = hint

    def extensions(self) -> dict[str, Any]:
        """The `extensions` of a GraphQL error: code; hint, retryable and meta where they say something."""
        out: dict[str, Any] = {"code": self.code}
        if self.retryable:
            out["retryable"] = True
        if self.hint:
            out["hint"] = self.hint
        if self.meta:
            out["meta"] = self.meta
        return out


class SettingsError(LamdbError):
    code = "SETTINGS"
    public: ClassVar[str | None] = "The server's settings are wrong."
    hint = "Correct the setting named in the message; docs/settings.md lists them all."


class UsageError(SettingsError):
    code = "USAGE"
    hint = "Add `-h` to the command for its usage."


class FileRefused(LamdbError):
    code = "FILE"
    status = 400
    public: ClassVar[str | None] = "A file on the server cannot be used."
    hint = "Check the path, the space on the disk and the permissions."


class StorageError(LamdbError):
    code = "STORAGE"
    public: ClassVar[str | None] = "The database's store failed."
    status = 503
    hint = "Check the store and its permissions."


class StoreUnavailable(StorageError):
    code = "STORE_UNAVAILABLE"
    public: ClassVar[str | None] = "The database's store did not answer, or refused."
    retryable = True
    hint = "Try again. If it persists, check the network, the bucket's name and region, and the credentials."


class StoreRefused(StoreUnavailable):
    """A request to the store had no effect, and repeating it will not help: rights, a full disk."""

    code = "STORE_REFUSED"
    public: ClassVar[str | None] = "The database's store refused a request."
    retryable = False
    hint = "Check the rights of this process to the store, and that the store has room."


class CommitUnknown(StoreUnavailable):
    code = "COMMIT_UNKNOWN"
    public: ClassVar[str | None] = "The database's store did not say whether it kept the write."
    retryable = False
    hint = "The write may or may not have been committed. Read the data before you send it again."


class StoreUnsuitable(StorageError):
    code = "STORE_UNSUITABLE"
    status = 500
    hint = "Use a store with conditional PUTs, see docs/storage.md. Nothing was written."


class NotAStore(StorageError):
    code = "NOT_A_STORE"
    public: ClassVar[str | None] = "The store holds no database."
    status = 500
    hint = (
        "Deploy a schema to an empty place: lamdb migrate deploy --store URL --database DIR, or lamdb serve. "
        "Otherwise name a store that lamDB wrote."
    )


class CorruptFile(StorageError):
    code = "CORRUPT_FILE"
    public: ClassVar[str | None] = "A file in the database's store is damaged."
    status = 500
    hint = "Restore the named object from an earlier version in the bucket, or restore to the TXID before it."


class Fenced(StorageError):
    code = "FENCED"
    public: ClassVar[str | None] = None
    retryable = True
    hint = "Another writer committed first and this transaction was rolled back. Send it again."


class ReplicaLag(StorageError):
    code = "REPLICA_LAG"
    public: ClassVar[str | None] = None
    retryable = True
    hint = "Send the request again, or check the TXID: its transaction is not in the store yet."


class NotRestorable(StorageError):
    code = "NOT_RESTORABLE"
    public: ClassVar[str | None] = None
    status = 404
    hint = "`lamdb backups` lists the states that can be restored."


class NotEmpty(StorageError):
    code = "NOT_EMPTY"
    status = 409
    hint = "Name an empty place."


class SourceError(StorageError):
    code = "SOURCE"
    status = 400
    hint = "Check the file with `PRAGMA integrity_check`; nothing was imported."


class TargetError(StorageError):
    code = "TARGET"
    status = 409
    hint = "Check the path, the space on the disk and the permissions."


class ReadOnly(StorageError):
    code = "READ_ONLY"
    public: ClassVar[str | None] = None
    status = 403
    hint = "Send writes to the writer."


class TransactionTooLarge(StorageError):
    code = "TRANSACTION_TOO_LARGE"
    public: ClassVar[str | None] = None
    status = 413
    hint = "Split the transaction."


class EngineError(LamdbError):
    code = "ENGINE"
    public: ClassVar[str | None] = "Prisma's engine failed on this request."
    hint = "Run `make build`; if the engine trapped, report it with the schema and the request."


class SchemaError(LamdbError):
    """`code` is Prisma's (P1012 for a schema that does not validate)."""

    code = "P1012"
    status = 400
    hint = "Correct the schema at the place in the message."


class NoSchema(LamdbError):
    code = "NO_SCHEMA"
    status = 503
    hint = "Deploy a schema: lamdb migrate deploy, or lamdb serve with --database."


class FunctionError(LamdbError):
    code = "FUNCTION"
    status = 502
    hint = "Check the function's name in the proxy's settings, its permissions and its logs."


class Throttled(FunctionError):
    code = "THROTTLED"
    status = 503
    retryable = True
    hint = "Send the request later, with the same idempotency key."


class FunctionUnavailable(FunctionError):
    code = "FUNCTION_UNAVAILABLE"
    status = 503
    retryable = True
    hint = "A write may or may not have been committed. Send it again with the same idempotency key."


class WritePending(FunctionError):
    code = "WRITE_PENDING"
    status = 503
    hint = "Get its state from the path in the response's Location header. It may have been executed."


class NotPublished(LamdbError):
    code = "NOT_PUBLISHED"
    status = 503
    retryable = True
    hint = (
        "Check the event bus and the right events:PutEvents on it. The next call publishes the same changes."
    )


class RemoteError(LamdbError):
    """`code`, message and hint are those of the other lamDB where it gave any."""

    code = "REMOTE"
    status = 502
    hint = "Check the address and the server behind it."


class RemoteUnavailable(RemoteError):
    code = "REMOTE_UNAVAILABLE"
    status = 503
    retryable = True
    hint = "Check the address and the network, and try again."


class MigrationError(LamdbError):
    """`code` is Prisma's P3xxx where it has one."""

    code = "MIGRATION"
    status = 409
    hint = "Correct the migration named in the message. The database is unchanged."


class OperatorUnavailable(LamdbError):
    code = "OPERATOR_UNAVAILABLE"
    status = 501
    hint = (
        "Install its wheels beside lamDB (docs/install.md), or g++ and make, and build again (make setup, "
        "make deploy). Commands with --store, --stack or --function do without it."
    )


class QueryError(LamdbError):
    """An error that Prisma calls a known request error: `code` P2xxx and its fields in `meta`."""

    code = "P2010"
    status = 400
    hint = ""


class RuleViolation(QueryError):
    """A record that the schema's rules do not let the caller create, or leave behind after an update."""

    code = "RULE_VIOLATION"
    status = 403
    hint = (
        "The caller's claims do not fulfil the @@allow and @@deny rules of the model. A request without a "
        "token or key has no claims."
    )


class RequestError(LamdbError):
    code = "BAD_REQUEST"
    status = 400
    hint = ""


class MalformedRequest(RequestError):
    code = "MALFORMED_REQUEST"
    hint = 'Send a JSON object such as {"query": "{ … }", "variables": {}}.'


class PersistedQueryNotFound(RequestError):
    """Tells clients with automatic persisted queries to send the document with its hash.

    Some read it only in responses with status 200. They look for this message or this code.
    """

    code = "PERSISTED_QUERY_NOT_FOUND"
    status = 200


class PersistedQueryNotSupported(RequestError):
    """Tells clients with automatic persisted queries to send documents as they are, as above."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    status = 200


class NotFound(RequestError):
    code = "NOT_FOUND"
    status = 404
    hint = "The API is at /graphql."


class Unauthorized(RequestError):
    code = "UNAUTHORIZED"
    status = 401
    hint = "Send the token of LAMDB_OPERATOR_TOKEN: Authorization: Bearer …"


class Forbidden(RequestError):
    code = "FORBIDDEN"
    status = 403


class MethodNotAllowed(RequestError):
    """`allow` are the methods that the path knows."""

    code = "METHOD_NOT_ALLOWED"
    status = 405

    def __init__(self, message: str, *, allow: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint, meta={"allow": list(allow)})


class NotAcceptable(RequestError):
    code = "NOT_ACCEPTABLE"
    status = 406
    hint = "Accept application/graphql-response+json or application/json."


class UnsupportedMediaType(RequestError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    hint = "Send the body as it is, with Content-Type: application/json."


class BodyTooLarge(RequestError):
    code = "BODY_TOO_LARGE"
    status = 413
    hint = "Split the request, or raise LAMDB_MAX_BODY_BYTES."


class BodyTimeout(RequestError):
    code = "BODY_TIMEOUT"
    status = 408
    retryable = True
    hint = "Send the body faster, or raise LAMDB_BODY_TIMEOUT."


class Overloaded(RequestError):
    code = "OVERLOADED"
    status = 503
    retryable = True
    hint = "Send the request later. If the error persists, add servers or raise LAMDB_MAX_PENDING."


class LimitError(RequestError):
    """The whole request is abandoned: no root field is answered, and a mutation is rolled back."""

    code = "LIMIT"


class TimeLimit(LimitError):
    code = "TIME_LIMIT"
    status = 504
    hint = "Request less at once, add an index, or raise LAMDB_QUERY_SECONDS or LAMDB_MUTATION_SECONDS."


class TooManyRows(LimitError):
    code = "TOO_MANY_ROWS"
    status = 413
    hint = "Request fewer rows (take, cursor), or raise LAMDB_MAX_ROWS or LAMDB_MAX_RESPONSE_BYTES."


class ResponseTooLarge(LimitError):
    code = "RESPONSE_TOO_LARGE"
    status = 413
    hint = "Request fewer fields or rows (take, cursor), accept gzip, or raise LAMDB_MAX_RESPONSE_BYTES."


class QueryTooCostly(LimitError):
    code = "QUERY_TOO_COSTLY"
    status = 422
    hint = "Nest fewer lists, give them `take`, or split the request."


class Cancelled(LimitError):
    code = "CANCELLED"
    status = 503
    retryable = True
    hint = "Send the request again."


class AnswerNotKept(RequestError):
    code = "ANSWER_NOT_KEPT"
    status = 409
    hint = "Read the result by a query. The mutation was executed once under this key."


class EventError(RequestError):
    code = "EVENT"
    hint = "Correct the event, or the schema's annotations, and send it again: docs/events.md."


class IdempotencyMismatch(RequestError):
    code = "IDEMPOTENCY_MISMATCH"
    status = 422
    hint = "Use a new idempotency key for each request, and the same one only to send the same request again."


class DocumentInvalid(RequestError):
    """`entries` are the errors as a GraphQL response lists them, each with its place in the document."""

    code = "GRAPHQL_VALIDATION_FAILED"

    def __init__(
        self, message: str, *, code: str | None = None, entries: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.entries = [dict(entry) for entry in entries] or [
            {"message": message, "extensions": self.extensions()}
        ]


class DocumentTooLarge(RequestError):
    code = "DOCUMENT_TOO_LARGE"
    status = 413
    hint = "Move values into variables, or split the document."


class DocumentTooDeep(RequestError):
    code = "DOCUMENT_TOO_DEEP"
    hint = "Request fewer levels at once."


class VariablesInvalid(RequestError):
    """`variable`: the name of the one that is at fault, if it is known."""

    code = "BAD_VARIABLES"

    def __init__(self, message: str, *, variable: str | None = None) -> None:
        super().__init__(message)
        self.variable = variable


class ChangesNotKept(RequestError):
    code = "CHANGES_NOT_KEPT"
    status = 410
    hint = "Read the records anew, and follow the changes from the cursor that `changes` without `since` has."


class SearchInvalid(RequestError):
    code = "SEARCH_INVALID"
    hint = "Without `mode: RAW`, any text is a search."
