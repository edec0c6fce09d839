"""lamDB: SQLite on AWS Lambda, all state in one S3 bucket, a GraphQL API from a Prisma schema."""

__version__ = "0.1.0"
