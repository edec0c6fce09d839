"""lamDB as three Lambda functions: a proxy, one writer, and as many readers as there is traffic.

`invocation` has the functions' inputs and outputs; `proxy` routes and retries, with `routing`; `reader` and
`writer` answer from the store. A function's module imports what its cold start needs and nothing else: the
proxy neither SQLite nor Prisma, the reader no AWS SDK.
"""
