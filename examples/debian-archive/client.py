"""A small GraphQL client: one endpoint, one answer, errors that say what to do."""

import time
from typing import Any

import httpx


class ServerError(Exception):
    """The server did not answer, or refused. `uncertain` if the request may have been carried out."""

    def __init__(self, message: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain


class Client:
    """Speaks to one GraphQL endpoint over one connection."""

    ATTEMPTS = 5

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(timeout=httpx.Timeout(120, connect=5))

    def close(self) -> None:
        self._http.close()

    def execute(self, document: str, **variables: Any) -> Any:
        """The `data` of an answer. Waits and tries again while the server is busy. Raises ServerError."""
        for attempt in range(1, self.ATTEMPTS + 1):
            response = self._post({"query": document, "variables": variables})
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or attempt == self.ATTEMPTS:
                break
            time.sleep(_seconds_to_wait(response, attempt))
        return _data(response)

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        try:
            return self._http.post(
                self.url, json=body, headers={"accept": "application/graphql-response+json"}
            )
        except httpx.ConnectError as error:
            raise ServerError(f"no server answers at {self.url} ({error})") from error
        except httpx.TransportError as error:
            raise ServerError(f"the connection to {self.url} broke ({error!r})", uncertain=True) from error


def _seconds_to_wait(response: httpx.Response, attempt: int) -> float:
    try:
        return float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return 0.2 * 2.0**attempt


def _data(response: httpx.Response) -> Any:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not answer.keys() & {"data", "errors"}:
        raise ServerError(f"HTTP {response.status_code}, and no GraphQL answer: {response.text[:200]!r}")
    if answer.get("errors"):
        first = answer["errors"][0]
        code = first.get("extensions", {}).get("code")
        raise ServerError(f"{first['message']}" + (f" ({code})" if code else ""))
    return answer["data"]
