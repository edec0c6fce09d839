"""Deployment: a project's schema, migrations and seed, brought to a database."""
