"""The cost of storage over an S3 protocol, in requests and in time: `python -m bench.storage`."""
