"""Migrations: the schema engine, scripts, drift, and what rebuilds of tables keep."""
