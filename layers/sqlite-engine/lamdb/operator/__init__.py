"""The operator API at `/admin/graphql`: status of database and store, migrations, maintenance. See `api`."""
