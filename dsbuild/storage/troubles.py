"""Explain errors of obstore: what happened, what to do, and whether it is temporary.

Only parts of obstore's text that are known to be harmless are repeated: the text contains whole
requests, on Azure with their signature.
"""

import enum
import os
import re


class Passes(enum.Enum):
    """Whether a failure is temporary: a store that was never reached may have a wrong name."""

    NEVER = enum.auto()
    IF_REACHED = enum.auto()
    ALWAYS = enum.auto()


_NEVER, _IF_REACHED, _ALWAYS = Passes
NO_BUCKET = "NoSuchBucket|ContainerNotFound"
_SLOW = "the store does not answer in time"
_AWAY = "the store cannot be reached: "
_TROUBLES = (
    # Its completion arrived but the answer did not; or somebody aborted it.
    (r"NoSuchUpload", "an upload in parts was lost", _ALWAYS),
    (NO_BUCKET, "there is no such bucket; create it first, or check its name", _NEVER),
    (
        r"BareRedirect|PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "the bucket is in another region, or at another endpoint; set AWS_REGION to {region}",
        _NEVER,
    ),
    (
        r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google|MissingCredentials|Unauthenticated",
        "the store needs credentials, and none were found or accepted; set them in the environment "
        "(docs/object-stores.md)",
        _IF_REACHED,
    ),
    (
        r"Missing(AccessKeyId|SecretAccessKey|Account)\b|(Open|Decode)Credentials|"
        r"InvalidAccessKey\b",
        "credentials are incomplete, or cannot be read; set them in the environment "
        "(docs/object-stores.md)",
        _NEVER,
    ),
    (r"RequestTimeTooSkewed", "the clock of this machine is wrong; set it", _NEVER),
    (r"status code: 40[13]|PermissionDenied", "not allowed; check credentials and rights", _NEVER),
    (r"status code: 404", "not found; check the bucket and the endpoint", _NEVER),
    (r"status code: (408|400.*<Code>RequestTimeout<)", _SLOW, _ALWAYS),
    (
        r"status code: 400",
        "the store refuses the request; check credentials, region and endpoint",
        _NEVER,
    ),
    (r"status code: 50[15]", "the store does not know this request; check the endpoint", _NEVER),
    (r"status code: (429|5\d\d)", "the store is busy or broken", _ALWAYS),
    (
        r"URL scheme is not allowed|BadScheme",
        "the endpoint is not https://; if it uses http://, set AWS_ALLOW_HTTP=true "
        "(AZURE_ALLOW_HTTP=true)",
        _NEVER,
    ),
    (
        r"InvalidCertificate|invalid peer certificate|UnknownIssuer",
        "the certificate of {host} is not trusted; check {endpoint}",
        _NEVER,
    ),
    (
        r"InvalidContentType|InvalidMessage|Parse\(\s",
        _AWAY + "{host} speaks http:// instead of https://, or not HTTP at all; check {endpoint}",
        _IF_REACHED,
    ),
    (r"dns error", _AWAY + "there is no host {host}; check {endpoint}", _IF_REACHED),
    (
        r"ConnectionRefused",
        _AWAY + "nothing listens at {host}; check {endpoint}",
        _IF_REACHED,
    ),
    (
        r"kind: Connect|\(\s*Connect,",
        _AWAY + "{host} accepts no connection; check {endpoint}",
        _IF_REACHED,
    ),
    (r"TimedOut|kind: Timeout|timed out", _SLOW, _ALWAYS),
    (
        r"kind: (Request|Body|Decode|Interrupted)|HTTP error|InvalidListResponse",
        "the connection broke",
        _ALWAYS,
    ),
    (r"Precondition", "it was replaced meanwhile by someone else", _NEVER),
    (
        r"Could not parse path|Error parsing Path",
        "dsbuild cannot ask a store for this name",
        _NEVER,
    ),
)
_UNKNOWN = ("", "it failed", _NEVER)
_ENDPOINTS = {
    "S3": "AWS_ENDPOINT_URL",
    "GCS": "STORAGE_EMULATOR_HOST",
    "MicrosoftAzure": "AZURE_ENDPOINT",
}
AGAIN = "finished work is kept: run the same command again"


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _trouble(text: str) -> tuple[str, str, Passes]:
    return next((row for row in _TROUBLES if re.search(row[0], text)), _UNKNOWN)


def passes(error: Exception) -> Passes:
    """Tell whether the failure of a request is temporary."""
    return _trouble(_text(error))[2]


def slow(error: Exception) -> bool:
    """Tell whether a request took too long."""
    return _trouble(_text(error))[1] == _SLOW


def said(error: Exception) -> str:
    """Say what an error of obstore means and what to do, without a word of the request.

    >>> said(Exception("PUT https://h/b/k?sig=S - status code: 503 Slow: <Code>SlowDown</Code>"))
    'the store is busy or broken (503 SlowDown)'
    """
    text = _text(error)
    pattern, line, _ = _trouble(text)
    host = re.search(r"Error performing \w+ https?://(?:[^/@\s]*@)?([\w.:\[\]-]+)", text)
    region = re.search(r"<Region>([a-z0-9-]{1,30})<", text)
    store = re.search(r'store: "(\w+)"', text)
    line = line.format(
        host=host[1] if host else "the endpoint",
        region=region[1] if region else "its own",
        endpoint=_endpoint(store[1] if store else ""),
    )
    status, code = re.search(r"status code: (\d{3})", text), re.search(r"<Code>(\w{1,40})<", text)
    detail = " ".join(match[1] for match in (status, code) if match)
    detail = detail or ("" if pattern else type(error).__name__)
    return f"{line} ({detail})" if detail else line


def _endpoint(store: str) -> str:
    name = _ENDPOINTS.get(store)
    if name is None:
        return "the endpoint"
    return name if name in os.environ else f"{name}, which is not set"


def message(error: Exception) -> str:
    """Return the message for an error that ends the work."""
    line = said(error)
    return line if ";" in line else f"{line}; {AGAIN}"
