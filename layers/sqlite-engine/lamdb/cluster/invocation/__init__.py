"""A function's input and output: events, paths, roles, cookies."""
