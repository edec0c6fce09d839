"""The AWS stack on this machine: the three functions in containers, started by SAM, with an S3 of their own.

`make sam-local` runs it; docs/local.md describes it.
"""
