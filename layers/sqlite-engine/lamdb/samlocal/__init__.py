"""The functions in the containers of `sam local`, where there is neither S3 nor Lambda's Invoke API.

`detection` tells whether a process is in such a container, and is all of this package that is loaded on AWS.
`store` says where the data is. `functions` makes the handlers.
"""
