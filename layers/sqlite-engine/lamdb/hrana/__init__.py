"""SQL over HTTP by libSQL's protocol (Hrana), so that ORMs and SQL clients work with a lamDB database.

The protocol is described at https://github.com/tursodatabase/libsql/tree/main/docs (Hrana 1 to 3) and in
docs/sql.md, with what is lamDB's own. Only its JSON over HTTP is served.
"""
