"""Signed requests to SQS, without a client of boto3: see `lambda_api`.

Sending a message is one request in SQS's JSON protocol:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import orjson

from lamdb.cluster.lambda_api import Access

_SERVICE: Final = "sqs"
_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 5.0


class SqsApi:
    """Sends messages to one queue, by its URL, over a connection that is kept."""

    def __init__(self, url: str, access: Access, environ: Mapping[str, str] = os.environ) -> None:
        from botocore.httpsession import URLLib3Session  # type: ignore[import-untyped]
        from botocore.utils import get_environ_proxies  # type: ignore[import-untyped]

        place = urlsplit(url)
        self._url = url
        self._access = access
        self._endpoint = environ.get("AWS_ENDPOINT_URL_SQS") or f"{place.scheme}://{place.netloc}"
        self._session = URLLib3Session(
            verify=environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE") or True,
            proxies=get_environ_proxies(self._endpoint),
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        )

    def send(self, body: str, group: str, deduplication: str) -> int:
        """Sends a message to a FIFO queue; the status of the answer.

        Raises botocore's `HTTPClientError`, `ConnectionError` and `NoCredentialsError`.
        """
        from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        message = {
            "QueueUrl": self._url,
            "MessageBody": body,
            "MessageGroupId": group,
            "MessageDeduplicationId": deduplication,
        }
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
        request = AWSRequest("POST", self._endpoint.rstrip("/") + "/", headers, orjson.dumps(message))
        access = self._access
        SigV4Auth(access.credentials, _SERVICE, access.region).add_auth(request)
        status: int = self._session.send(request.prepare()).status_code
        return status
