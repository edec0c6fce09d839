"""Events of other services that change the database: SQS, DynamoDB Streams, EventBridge and S3.

`records` reads them; `values` converts what they hold; `mirroring` makes records of the database follow them,
in the order that `versions` keeps; `requests` executes GraphQL in messages; `batches` does all of a batch in
one transaction; `deadletters` takes what can never succeed. Loaded when the first event comes.
"""
