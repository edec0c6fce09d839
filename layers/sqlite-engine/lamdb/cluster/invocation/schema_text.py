"""The API's schema as text at `/schema.graphql`, as on the standalone server."""

import gzip
import hashlib
from typing import Final

from lamdb.cluster.invocation.events import SCHEMA_PATH as PATH
from lamdb.errors import MethodNotAllowed
from lamdb.graphql.apis import Apis
from lamdb.graphql.transport import graphiql
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.storage import Database

METHODS: Final = ("GET", "HEAD")


def answer(apis: Apis, database: Database, request: HttpRequest) -> HttpResponse:
    """The schema of the newest state that this process knows. Raises `NoSchema`, `MethodNotAllowed`."""
    if request.method not in METHODS:
        raise MethodNotAllowed(f"{PATH} does not allow {request.method}.", allow=METHODS)
    found = apis.newest(database).stored
    packed = found.sdl_gzipped
    if packed is None:
        # Another version stored the schema: few requests find it so, and fewer ask for this.
        from lamdb.graphql.schema import sdl

        packed = gzip.compress(sdl.render(found.types.copy()).encode(), mtime=0)
    content = gzip.decompress(packed)
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    response = graphiql.file(request, content, packed, "text/plain; charset=utf-8", etag)
    return HttpResponse(response.status, response.headers) if request.method == "HEAD" else response
