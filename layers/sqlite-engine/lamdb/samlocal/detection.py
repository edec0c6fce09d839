"""Detects `sam local`. Loaded at every cold start, so it imports nothing slow."""

from collections.abc import Mapping
from typing import Final

_MARK: Final = "AWS_SAM_LOCAL"
_LOG_STREAM: Final = "AWS_LAMBDA_LOG_STREAM_NAME"
_NO_LOG_STREAM: Final = "$LATEST"


def is_sam_local(environ: Mapping[str, str]) -> bool:
    """True if both SAM's own mark and its log stream are in the environment.

    `AWS_SAM_LOCAL` alone proves nothing: a function on AWS can be configured to have it. The name of the log
    stream is reserved (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html): Lambda sets
    it to `year/month/day/[version]id`, or leaves it out with SnapStart, and no configuration can change it.
    SAM sets it to `$LATEST`, which is no such name.
    """
    return environ.get(_MARK) == "true" and environ.get(_LOG_STREAM) == _NO_LOG_STREAM
