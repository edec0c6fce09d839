"""GraphQL over HTTP, without a server."""
