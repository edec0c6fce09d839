"""The server's presentation of a schema: its SDL, and a query to begin with."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property

from lamdb.graphql.apis import ServedSchema
from lamdb.graphql.schema import sdl
from lamdb.search.definition import SearchDefinition
from lamdb.server.examples import example_query
from lamdb.storage.waiting import about_to_wait


@dataclass(frozen=True)
class SchemaRenderings:
    """Each part is made when it is first asked for."""

    served: ServedSchema

    @cached_property
    def example(self) -> str:
        """A query that the schema answers, to begin with."""
        return example_query(self.served.stored.schema.datamodel)

    @cached_property
    def example_line(self) -> str:
        """The same on one line."""
        return example_query(self.served.stored.schema.datamodel, indent=False)

    @cached_property
    def searches(self) -> tuple[SearchDefinition, ...]:
        """The searches that the schema declares."""
        return self.served.stored.types.searches()

    @cached_property
    def sdl_gzipped(self) -> bytes:
        stored = self.served.stored.sdl_gzipped
        if stored is not None:
            return stored
        about_to_wait()  # for the processor, but as long
        return gzip.compress(sdl.render(self.served.stored.types.copy()).encode(), mtime=0)

    @cached_property
    def sdl(self) -> bytes:
        return gzip.decompress(self.sdl_gzipped)

    @cached_property
    def sdl_etag(self) -> str:
        return f'"{hashlib.sha256(self.sdl).hexdigest()[:32]}"'
