"""AWS's Signature Version 4 for API Gateway and function URLs, by botocore's own code."""

import re
from typing import Final
from urllib.parse import urlsplit

from lamdb.cli.targets.aws import botocore_problems, session
from lamdb.errors import SettingsError

SERVICE: Final = "execute-api"
"""The service that is signed for, unless the address is a function URL."""

FUNCTION_URL_SERVICE: Final = "lambda"

# `ID.execute-api.REGION.amazonaws.com`, and `ID.lambda-url.REGION.on.aws`.
_HOST: Final = re.compile(
    r"(?:^|\.)(?:execute-api\.(?P<region>[a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?"
    r"|lambda-url\.(?P<url_region>[a-z0-9-]+)\.on\.aws)\Z"
)


def signed(method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The headers with a signature among them. Raises `SettingsError` without credentials or region."""
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

    found = session()
    with botocore_problems():
        credentials = found.get_credentials()
    if credentials is None:
        raise SettingsError("no AWS credentials were found to sign with", hint="Set AWS_PROFILE, or sign in.")
    region = region_of(url) or found.region_name
    if region is None:
        raise SettingsError("no region is known to sign for", hint="Set AWS_REGION to that of the API.")
    request = AWSRequest(method, url, headers, body)
    with botocore_problems():
        SigV4Auth(credentials, service_of(url), region).add_auth(request)
    return dict(request.headers.items())


def region_of(url: str) -> str | None:
    """Returns the region in an address of API Gateway or of a function URL; None for any other address."""
    found = _HOST.search(urlsplit(url).hostname or "")
    return (found["region"] or found["url_region"]) if found else None


def service_of(url: str) -> str:
    """Returns the name of the service that a request to the address is signed for."""
    found = _HOST.search(urlsplit(url).hostname or "")
    return FUNCTION_URL_SERVICE if found and found["url_region"] else SERVICE
