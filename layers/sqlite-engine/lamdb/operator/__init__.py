"""The operator API at `/admin/graphql`: status of database and store, migrations, upkeep. See `api`."""
