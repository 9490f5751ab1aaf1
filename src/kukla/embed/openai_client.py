"""One POST to an OpenAI-compatible API, tried again where that helps."""

from __future__ import annotations

import random
import time
import weakref
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any

from kukla.errors import InputError, MissingExtraError, ServiceError

__all__ = ["Client"]

_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_MESSAGE = 300


class Client:
    """Posts JSON and gives the JSON of the answer.

    Parameters
    ----------
    base_url : str
        ``http(s)://host/v1``; paths are put after it. Redirects are not followed: the key would go along.
    api_key : str or None
        Sent as a bearer token; in no message and no repr.
    timeout_seconds : float
        For connecting, and for each wait for bytes of an answer.
    retries : int
        How often a request is sent again after a lost connection, a timeout, or a status of 408, 409, 425,
        429, 500, 502, 503 or 504.
    wait_seconds : float
        Before the first retry; doubled for each further one, with up to a quarter of jitter. ``Retry-After``
        of the answer takes its place.
    longest_wait_seconds : float
        No wait is longer; a server that asks for more is not tried again.

    Raises
    ------
    MissingExtraError
        Without httpx2.
    InputError
        ``base_url`` is no http address.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        timeout_seconds: float,
        retries: int,
        wait_seconds: float,
        longest_wait_seconds: float,
    ) -> None:
        self._http = _import_httpx()
        self.base_url = base_url.rstrip("/")
        self._retries = retries
        self._wait_seconds = wait_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._timeout_seconds = timeout_seconds
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._secret = api_key or None
        try:
            url = self._http.URL(self.base_url)
            if url.scheme not in ("http", "https") or not url.host:
                raise ValueError("no http:// or https:// in front, or no host")
            if url.userinfo:  # it would be in messages
                raise InputError(
                    f"base_url: received a user or password in front of {url.host}; allowed: none, the key "
                    "is read from OPENAI_API_KEY"
                )
            self._client = self._http.Client(headers=headers, timeout=timeout_seconds, follow_redirects=False)
        except InputError:
            raise
        except (ValueError, TypeError, self._http.InvalidURL) as error:
            raise InputError(
                f"base_url: received {base_url!r}; allowed: an address such as http://localhost:8080/v1 "
                f"({self._clean(str(error))})"
            ) from None
        self.close = weakref.finalize(self, self._client.close)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The parsed JSON of the answer.

        Raises
        ------
        ServiceError
            Refused, or still failing after the last retry; the message has the address, the status and
            what the server said.
        """
        url = f"{self.base_url}/{path}"
        for attempt in range(self._retries + 1):
            asked: float | None = None
            try:
                response = self._client.post(url, json=body)
                if response.status_code == 200:
                    return self._json(url, response)
                problem = self._refusal(response)
                if response.status_code not in _TRY_AGAIN or _is_quota(response):
                    raise ServiceError(f"{url}: {problem}")
                asked = _retry_after(response.headers.get("retry-after"))
            except self._http.TimeoutException:
                problem = f"no answer within {self._timeout_seconds:g} s"
            except self._http.TransportError as error:
                problem = f"no connection: {self._clean(str(error)) or type(error).__name__}"
            if asked is not None and asked > self._longest_wait_seconds:
                raise ServiceError(
                    f"{url}: {problem}; it asks to wait {asked:,.0f} s, more than the "
                    f"{self._longest_wait_seconds:g} s allowed"
                )
            if attempt < self._retries:
                time.sleep(self._pause(attempt) if asked is None else asked)
        raise ServiceError(f"{url}: {problem}; tried {self._retries + 1} times")

    def _pause(self, attempt: int) -> float:
        seconds = min(self._wait_seconds * 2.0**attempt, self._longest_wait_seconds)
        return seconds * random.uniform(0.75, 1.0)  # many clients must not come back at the same moment

    def _json(self, url: str, response: Any) -> Any:
        try:
            return response.json()
        except ValueError:
            raise ServiceError(
                f"{url}: the answer is no JSON: {self._clean(response.text)[:80]!r}; is this the address of "
                "an OpenAI-compatible API?"
            ) from None

    def _refusal(self, response: Any) -> str:
        said = self._clean(_message(response))
        hint = ""
        if response.status_code in (401, 403):
            hint = " (is OPENAI_API_KEY the key for this address?)"
        elif response.is_redirect:
            hint = f" (redirects to {response.headers.get('location', '?')}: give that address)"
        return f"status {response.status_code}{': ' + said if said else ''}{hint}"

    def _clean(self, text: str) -> str:
        """One line, not too long, without the key, which some servers repeat."""
        if self._secret:
            text = text.replace(self._secret, "***")
        line = " ".join(text.split())
        return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "..."


def _import_httpx() -> ModuleType:
    try:
        import httpx2
    except ImportError:
        raise MissingExtraError("an OpenAI-compatible API", "openai") from None
    module: ModuleType = httpx2
    return module


def _error_field(response: Any) -> Any:
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get("error", body) if isinstance(body, dict) else None


def _message(response: Any) -> str:
    error = _error_field(response)
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return str(error) if error else response.text[:1000]


def _is_quota(response: Any) -> bool:
    """Whether a 429 means that the money is spent, which no waiting changes."""
    error = _error_field(response)
    return isinstance(error, dict) and "insufficient_quota" in (error.get("code"), error.get("type"))


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait: ``Retry-After`` holds a number or a date (RFC 9110, 10.2.3); None for neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None
