"""Every setting of lamDB: its name, meaning, default and limits, read and checked once.

    settings = Settings.load(os.environ, store="memory:")

Each comes from an option of the command line, else from its environment variable, else from its default.
`docs/settings.md` is generated from this module (`python -m lamdb.settings`).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from lamdb import memory as _memory
from lamdb import names
from lamdb.errors import SettingsError
from lamdb.setting import MIB as _MIB
from lamdb.setting import Spec
from lamdb.setting import address as _address
from lamdb.setting import bus as _bus
from lamdb.setting import choice as _choice
from lamdb.setting import event_source as _event_source
from lamdb.setting import origins as _origins
from lamdb.setting import page_size as _page_size
from lamdb.setting import roles as _roles
from lamdb.setting import seconds as _seconds
from lamdb.setting import setting as _setting
from lamdb.setting import several as _several
from lamdb.setting import size as _size
from lamdb.setting import store as _store
from lamdb.setting import switch as _switch
from lamdb.setting import text as _text
from lamdb.setting import token as _token
from lamdb.setting import whole as _whole
from lamdb.setting import workers as _workers

TOML_FILE: Final = "lamdb.toml"
"""The file with the settings of a folder. Commands read it."""
PREFIX: Final = "LAMDB_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values in force. Make one with `Settings.load`."""

    store: str = _setting(
        "",
        "Where the data is: `file:///directory`, `memory:` or `s3://bucket/prefix`. Credentials, region and "
        "endpoint of S3 come from the standard `AWS_…` variables. A path stands for its `file:` URL.",
        _store,
        "a store URL or a path",
    )
    database: str = _text("database", "Directory of `schema.prisma`, `migrations/` and the seed.", "a path")

    url: str = _setting(
        "",
        "For commands: the lamDB to work with, a server's address, a stage of API Gateway or a function URL.",
        _address,
        "an http(s) URL",
    )
    function: str = _setting(
        "", "For commands: the Lambda function to work with, called directly.", str, "a name or ARN"
    )
    stack: str = _setting(
        "", "For commands: the CloudFormation stack to work with; its functions are called.", str, "a name"
    )
    token: str = _setting("", "For commands: sent to the URL as `Authorization: Bearer …`.", str, "text")
    api_key: str = _setting("", "For commands: sent to the URL as `x-api-key`.", str, "text")

    host: str = _text("127.0.0.1", "Address to listen on; `0.0.0.0` for all of IPv4.", "an address")
    port: int = _whole(8000, 0, 65535, "Port to listen on; 0 takes a free one.")
    workers: int = _setting(
        1,
        "Processes that answer queries; with more than one, a writer process does all else. `auto`: one for "
        "each processor.",
        _workers,
        "auto, 1 to 64",
    )
    threads: int = _whole(
        1,
        1,
        512,
        "Reads that are executed at the same time, besides slow ones. More of them mostly wait for Python's "
        "interpreter lock; `LAMDB_WORKERS` is for more processors.",
    )
    write_threads: int = _whole(
        64, 1, 2048, "Mutations that are executed, or wait for the commit they share, at the same time."
    )
    max_pending: int = _whole(
        1024,
        1,
        100_000,
        "Reads that may be executing or waiting, and mutations likewise; more are refused with `OVERLOADED`.",
    )
    max_body_bytes: int = _size(
        10 * _MIB, 1024, 1024 * _MIB, "Largest request body. Sizes are in bytes, or in `KiB`, `MiB` or `GiB`."
    )
    max_connections: int = _whole(4096, 1, 1_000_000, "Open connections; more wait to be accepted.")
    header_timeout: float = _seconds(
        65.0,
        0.1,
        600.0,
        "How long a connection may be idle, and a client may take to send a request's headers.",
    )
    body_timeout: float = _seconds(30.0, 0.1, 600.0, "Time a client has to send the body of a request.")
    shutdown_timeout: float = _seconds(
        30.0, 0.0, 600.0, "Time that running requests have to finish after SIGTERM or SIGINT."
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        "Origins whose pages may call the API, separated by commas; `*` for any. Empty: none.",
        _origins,
        "origins",
    )
    cors_headers: tuple[str, ...] = _setting(
        (),
        "Headers that those pages may send besides the usual ones, separated by commas, such as "
        "`apollo-require-preflight, x-apollo-operation-name`.",
        names.headers,
        "names of headers",
    )
    hosts: tuple[str, ...] = _setting(
        (),
        "Host names, without ports, by which clients may address the server besides loopback names, "
        "separated by commas; `*.example.com` for all subdomains, `*` for any. Empty: any, unless "
        "the server listens on a loopback address only.",
        names.hosts,
        "names",
    )
    graphiql: bool = _switch(True, "Serve GraphiQL to browsers at `/`.")
    search_page: bool = _switch(
        True,
        "Serve a search page for browsers at `/search`, for the models that the schema makes searchable.",
    )
    studio: str = _choice(
        "auto",
        ["auto", "on", "off"],
        "Serve the studio at `/studio`. `auto`: if SQL is served, and the server listens on a "
        "loopback address only, or authenticates its callers (`LAMDB_AUTH`), which then need the "
        "role admin. `on`: to every caller, in the caller's role.",
    )

    changes_clients: int = _whole(
        256,
        1,
        100_000,
        "Clients that may wait at `/changes` or follow its stream; more are refused.",
    )
    changes_look: float = _seconds(
        1.0,
        0.1,
        60.0,
        "Seconds between checks for other servers' commits while a client waits for changes or "
        "follows a live query.",
    )
    live_queries: int = _whole(
        256, 1, 100_000, "Live queries that may be open in a process of the server; more are refused."
    )

    log_level: str = _choice(
        "info", ["debug", "info", "warning", "error"], "Least severe log lines that are written."
    )
    log_format: str = _choice(
        "auto",
        ["auto", "human", "json"],
        "`auto` is human on a terminal and JSON, one object per line, elsewhere.",
    )
    log_requests: bool = _switch(False, "Log every request, not only failed and slow ones.")
    slow_request: float = _seconds(1.0, 0.0, 600.0, "A request that takes longer is logged as slow.")
    slow_operation: float = _seconds(
        0.1, 0.0, 600.0, "A GraphQL operation that takes longer is listed by the operator API, by its hash."
    )

    operator: str = _choice(
        "auto",
        ["auto", "on", "off"],
        "Serve the operator API at `/admin/graphql`. `auto`: if there is a token "
        "(`LAMDB_OPERATOR_TOKEN`) or `LAMDB_AUTH` is set, or if the server listens on a loopback "
        "address only.",
    )
    operator_token: str = _token(
        "Token that operators send as `Authorization: Bearer …`. Without one, requests must be addressed to "
        "this machine by a loopback name, if it listens on such an address."
    )

    metrics: str = _choice(
        "auto",
        ["auto", "on", "off"],
        "Serve metrics for Prometheus at `/metrics`, to callers that may read. `auto`: if the server "
        "listens on a loopback address only, or authenticates its callers (`LAMDB_AUTH`).",
    )

    otel: bool = _switch(
        False,
        "Send traces by OpenTelemetry; the standard `OTEL_…` variables configure it. Needs the extra `otel`.",
    )

    auth: tuple[str, ...] = _setting(
        (),
        "How a server authenticates its callers: `keys` (API keys: `lamdb key create`), `jwt` (JSON "
        "Web Tokens), or both, separated by commas. `none`: not at all, and everybody may write.",
        _several(("keys", "jwt")),
        "none, keys, jwt",
    )
    anonymous_role: str = _choice(
        "none",
        ["none", "read", "write"],
        "Role of requests without a token where `LAMDB_AUTH` is set; `none` refuses them.",
    )
    jwks: str = _setting(
        "", "URL or path of the JSON Web Key Set that verifies JSON Web Tokens.", str, "a URL or a path"
    )
    jwt_secret: str = _token("Shared secret that verifies JSON Web Tokens (HS256), in place of `LAMDB_JWKS`.")
    jwt_issuer: str = _setting("", "Issuer (`iss`) that JSON Web Tokens must name. Empty: any.", str, "text")
    jwt_audience: str = _setting(
        "", "Audience (`aud`) that JSON Web Tokens must name. Empty: any.", str, "text"
    )
    jwt_role: str = _choice(
        "write", ["read", "write", "admin"], "Role of JSON Web Tokens without the claim `lamdb_role`."
    )

    sql: bool = _switch(True, "Serve SQL over HTTP at `/v2/pipeline`, `/v3/pipeline` and `/v3/cursor`.")
    sql_idle_seconds: float = _seconds(
        10.0,
        0.1,
        600.0,
        "How long a transaction of SQL over HTTP may be idle before a server rolls it back.",
    )
    sql_transaction_seconds: float = _seconds(
        30.0,
        0.1,
        3600.0,
        "How long a transaction of SQL over HTTP may be open before a server rolls it back. Other "
        "writers wait for it no longer than this.",
    )
    sql_log_bytes: int = _size(
        64 * _MIB,
        1024,
        1024 * _MIB,
        "On AWS: largest log of a transaction's statements, which each of its requests keeps in memory.",
    )
    sql_role: str = _choice(
        "write", ["read", "write", "admin"], "On AWS: role of SQL over HTTP for tokens that do not name one."
    )
    sql_key: str = _token("On AWS: signs the batons of SQL over HTTP; the same for all functions of a stack.")
    sql_tokens: Mapping[str, str] = _roles(
        "Tokens of SQL over HTTP with their roles, separated by commas, such as `read:…, write:…`. "
        "If any is set, requests without a token are refused; the operators' token has the role "
        "`admin`."
    )

    search_key: str = _token(
        "Key that signs search tokens (`lamdb token search`), which allow browsers to search and "
        "nothing else. Without it such tokens are refused."
    )

    query_seconds: float = _seconds(
        30.0, 0.01, 900.0, "Longest execution of a query; then it is stopped with `TIME_LIMIT`."
    )
    mutation_seconds: float = _seconds(
        10.0,
        0.01,
        900.0,
        "Longest execution of a mutation, which occupies the writer. Waiting for the writer and the "
        "commit do not count.",
    )
    max_response_bytes: int = _size(
        64 * _MIB,
        1024,
        512 * _MIB,
        "Largest response, before compression, and most bytes of a query's rows in memory at once. "
        "On AWS an uncompressed response may have 6 MB.",
    )
    max_rows: int = _whole(
        1_000_000,
        1,
        1_000_000_000,
        "Most records in the list of one root field, and most rows that one SQL statement may return.",
    )
    max_cost: int = _whole(
        10_000_000,
        1,
        1_000_000_000_000_000,
        "Most records that an operation may nest into each other, estimated from the document: a list counts "
        "10, or its `take` if that is less, times what is nested in it.",
    )

    token_wait: float = _seconds(
        5.0, 0.0, 60.0, "How long a read waits for the transaction of its token before `REPLICA_LAG`."
    )
    max_staleness: float = _seconds(
        1.0, 0.0, 3600.0, "A read asks the store for newer transactions if the last check is longer ago."
    )
    as_of: bool = _switch(True, "Answer queries on past states (`x-lamdb-as-of`); else they are refused.")
    fenced_retries: int = _whole(
        3, 0, 100, "How often a mutation is repeated when another server's writer committed first."
    )
    writer_stale_after: float = _seconds(
        10.0,
        0.0,
        3600.0,
        "A write first checks the store for newer transactions if the last check is longer ago.",
    )
    group_seconds: float = _seconds(
        0.05,
        0.0,
        10.0,
        "Mutations that arrive during a commit share the next one. This is how long the mutations of "
        "one commit may be executed in all; the others wait for the commit after it. 0: each "
        "mutation has a commit of its own.",
    )
    group_bytes: int = _size(
        8 * _MIB,
        1,
        1024 * _MIB,
        "How many bytes of pages the mutations of one commit may change "
        "before the others wait for the commit after it.",
    )
    max_transaction_bytes: int = _size(
        2048 * _MIB,
        _MIB,
        4096 * _MIB,
        "Most bytes of pages that one transaction may change. Beyond 32 MiB it uses temporary files "
        "in `TMPDIR`, of up to three times its size.",
    )

    idempotency_seconds: int = _whole(
        86400,
        1,
        31_622_400,
        "How long the response to a mutation is kept under its idempotency key, in seconds.",
    )

    idempotency_answer_bytes: int = _size(
        256 * 1024,
        0,
        64 * _MIB,
        "Largest response that is kept under an idempotency key. Of a larger one only the key is "
        "kept: the same request is then refused with `ANSWER_NOT_KEPT`.",
    )
    idempotency_bytes: int = _size(
        64 * _MIB,
        64 * 1024,
        16 * 1024 * _MIB,
        "Most bytes of idempotency keys and their responses in the database; a key counts 128 bytes. Beyond "
        "that, the oldest are removed early.",
    )

    memory: int = _size(
        _memory.DEFAULT,
        _memory.SMALLEST,
        64 * 1024 * _MIB,
        "Memory for all caches of a process together: pages, SQLite's own caches, query plans, compiled "
        "documents, vocabularies and results of searches (docs/docker.md, *Memory*). Where it is not set, "
        "`lamdb serve` takes an eighth of the memory of its machine or container, from 64 MiB to 1 GiB, and "
        "a function on AWS its memory less 400 MiB.",
    )
    cache_bytes: int = _size(
        0,
        _MIB,
        64 * 1024 * _MIB,
        "Memory for pages read from the store, in place of their share of `LAMDB_MEMORY`.",
        shown="3/8 of LAMDB_MEMORY",
    )
    disk_cache_dir: str = _setting(
        "",
        "Directory for a cache of pages that were read from the store, for when memory is full and for the "
        "next start. Any number of servers may share it.",
        str,
        "a path",
    )
    disk_cache_bytes: int = _size(
        1024 * _MIB,
        0,
        16 * 1024 * 1024 * _MIB,
        "Largest size of the cache in `LAMDB_DISK_CACHE_DIR`, for each server; 0: no cache.",
    )
    hydrate: bool = _switch(
        False, "Fill the cache on disk after the start, in the background, with the files that fit into it."
    )
    page_size: int = _setting(
        8192, "Page size of a database that is created.", _page_size, "a power of two from 512 to 65536"
    )
    keep_transactions: int = _whole(
        7, 1, 3650, "Days during which the state after every transaction can be restored."
    )
    keep_days: int = _whole(
        30,
        1,
        36500,
        "Days during which the last state of each day can be restored; at least `LAMDB_KEEP_TRANSACTIONS`.",
    )
    maintenance: bool = _switch(True, "Compact and prune the store in the background while serving.")
    maintenance_interval: float = _seconds(
        3600.0, 1.0, 7 * 86400.0, "How often a server looks for files to compact or delete."
    )
    maintenance_slice: float = _seconds(
        2.0, 0.1, 600.0, "How long compaction works before it checks whether the server is stopping."
    )
    check_interval: float = _seconds(
        86400.0,
        0.0,
        366 * 86400.0,
        "How often a server reads all files of the store, beside maintenance, to find damage; 0: never.",
    )
    check_bytes_per_second: int = _size(
        4 * _MIB, 64 * 1024, 1024 * _MIB, "How much of the store a server reads in a second for this check."
    )
    maintenance_seconds: float = _seconds(
        10.0,
        0.1,
        600.0,
        "On AWS: how long one scheduled call of the writer compacts; writes wait for it at the proxy.",
    )
    writer_function: str = _setting(
        "", "On AWS: the function that the proxy sends mutations to.", str, "a name or ARN"
    )
    reader_function: str = _setting(
        "", "On AWS: the function that the proxy sends queries to.", str, "a name or ARN"
    )
    dead_letters: str = _setting(
        "", "On AWS: the dead-letter queue, for events that can never succeed.", str, "a queue's URL"
    )
    write_queue: str = _setting(
        "", "On AWS: the FIFO queue by which the proxy sends mutations to the writer.", str, "a queue's URL"
    )
    write_mode: str = _choice(
        "direct",
        ["direct", "queued", "auto"],
        "On AWS: how the proxy sends mutations. `direct`: by an invocation; `queued`: by the queue; `auto`: "
        "by an invocation while the writer is free, else by the queue.",
    )
    publish_bus: str = _setting(
        "", "On AWS: the event bus that changes are published to.", _bus, "a bus's name or ARN"
    )
    publish_models: tuple[str, ...] = _setting(
        (),
        "On AWS: the models whose changes are published. Empty: all whose changes are recorded.",
        names.models,
        "names",
    )
    publish_source: str = _setting(
        "lamdb", "On AWS: the source of the published events.", _event_source, "text without `aws.` in front"
    )
    publish_seconds: float = _seconds(
        40.0, 1, 600, "On AWS: how long one invocation publishes changes. The next one continues."
    )
    read_groups: tuple[str, ...] = _setting(
        (), "On AWS: groups of Cognito whose members may read. Empty: every token may.", names.groups, "names"
    )
    write_groups: tuple[str, ...] = _setting(
        (),
        "On AWS: groups of Cognito whose members may read and write. If neither these nor those that may "
        "read are set, every token may.",
        names.groups,
        "names",
    )
    admin_groups: tuple[str, ...] = _setting(
        (),
        "On AWS: groups of Cognito whose members may also change tables by SQL over HTTP.",
        names.groups,
        "names",
    )
    write_rate: int = _whole(
        0, 0, 1_000_000, "On AWS: clients' mutations that the writer begins per second; 0 for no limit."
    )
    write_burst: int = _whole(
        50, 1, 1_000_000, "On AWS: mutations that the writer begins at once, above `LAMDB_WRITE_RATE`."
    )
    retry_seconds: float = _seconds(
        20.0, 0.0, 27.0, "On AWS: how long the proxy repeats requests that were throttled or got no answer."
    )
    plan_cache: int = _whole(1000, 1, 1_000_000, "Query plans kept.")
    document_cache: int = _whole(1000, 1, 1_000_000, "Compiled GraphQL documents kept.")
    persisted_queries: int = _whole(
        1000,
        0,
        1_000_000,
        "GraphQL documents that a process keeps by their SHA-256, for clients with automatic "
        "persisted queries; 0: none, and `PERSISTED_QUERY_NOT_SUPPORTED` tells clients to send "
        "documents.",
    )
    max_document_bytes: int = _size(256 * 1024, 64, 64 * _MIB, "Largest GraphQL document, without variables.")
    max_document_tokens: int = _whole(50_000, 1, 10_000_000, "Most lexical tokens in a document.")
    max_document_depth: int = _whole(64, 1, 500, "Deepest nesting of brackets in a document.")

    @classmethod
    def load(cls, environ: Mapping[str, str], **options: str | None) -> Self:
        """Settings from `environ` and, before it, from `options` by name (None: not given).

        Raises `SettingsError` naming the option or variable whose value cannot be used.
        """
        values: dict[str, Any] = {}
        for name, spec in specs().items():
            source, text = option_name(name), options.get(name)
            if text is None:
                source, text = variable_name(name), environ.get(variable_name(name))
            if text is None:
                continue
            try:
                values[name] = spec.parse(text)
            except ValueError as error:
                shown = "given" if spec.secret else repr(text)
                raise SettingsError(f"{source} is {shown}: {error}", meta={"setting": name}) from None
        return cls(**values)

    def require_store(self) -> str:
        """The store's URL. Raises `SettingsError` if none was given."""
        if not self.store:
            raise SettingsError(
                "no store is given: use --store URL or set LAMDB_STORE", meta={"setting": "store"}
            )
        return self.store


def specs() -> dict[str, Spec]:
    """Each setting's `Spec` by its name, in the order of the documentation."""
    return {field.name: field.metadata["spec"] for field in dataclasses.fields(Settings)}


def variable_name(name: str) -> str:
    return PREFIX + name.upper()


def option_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: probably misspelt."""
    known = {variable_name(name) for name in specs()}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def markdown_table() -> str:
    """The table in `docs/settings.md`."""
    lines = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(Settings):
        spec: Spec = field.metadata["spec"]
        lines.append(
            f"| `{variable_name(field.name)}` | {_shown(spec.shown or field.default)} "
            f"| {spec.limits} | {spec.doc} |"
        )
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case "" | " " | ():
            return "none"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    print(markdown_table(), end="")
