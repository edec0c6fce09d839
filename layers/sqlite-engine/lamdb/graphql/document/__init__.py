"""GraphQL documents: parsing, validation, selections, variables and values."""
