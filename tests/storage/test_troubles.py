import pytest

from dsbuild.storage import troubles
from dsbuild.storage.troubles import Passes
from tests.support.stores import SECRET

URL = f"https://me:{SECRET}@acc.blob.core.windows.net/c/x?sig={SECRET}"
CONNECT = 'legacy::Error(\n Connect,\n ConnectError(\n "tcp connect error"'
REGION = "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>"


@pytest.mark.parametrize(
    ("text", "passes", "said"),
    [
        ("status code: 503 x", "ALWAYS", "the store is busy or broken (503)"),
        ("status code: 500 ", "ALWAYS", "the store is busy or broken (500)"),
        ("status code: 429 Too Many Requests: ", "ALWAYS", "the store is busy or broken (429)"),
        ("status code: 408 Request Timeout: ", "ALWAYS", "the store does not answer in time (408)"),
        (
            "status code: 400 Bad Request: <Code>RequestTimeout</Code>",
            "ALWAYS",
            "the store does not answer in time (400 RequestTimeout)",
        ),
        ("status code: 501 x", "NEVER", "the store does not know this request"),
        ("kind: Timeout,\n source: TimedOut", "ALWAYS", "the store does not answer in time"),
        ("kind: Request", "ALWAYS", "the connection broke"),
        ("kind: Decode", "ALWAYS", "the connection broke"),
        ("source: InvalidListResponse {", "ALWAYS", "the connection broke"),
        (
            "status code: 403 Forbidden: <Code>AccessDenied</Code>",
            "NEVER",
            "not allowed; check credentials and rights (403 AccessDenied)",
        ),
        ("status code: 404: <Code>NoSuchUpload</Code>", "ALWAYS", "an upload in parts was lost"),
        ("status code: 404: <Code>NoSuchKey</Code>", "NEVER", "not found; check the bucket"),
        ("<Code>NoSuchBucket</Code>", "NEVER", "there is no such bucket"),
        (
            f"status code: 400: {REGION}",
            "NEVER",
            "another region, or at another endpoint; set AWS_REGION to eu-west-1 (400 Auth",
        ),
        ("inner: BareRedirect", "NEVER", "the bucket is in another region"),
        ("http://169.254.169.254/latest", "IF_REACHED", "the store needs credentials"),
        ("source: MissingAccessKeyId", "NEVER", "credentials are incomplete"),
        ("source: MissingEtag", "NEVER", "it failed"),
        (f"{CONNECT}, ConnectionRefused", "IF_REACHED", "nothing listens at acc.blob.core"),
        (f"{CONNECT}, kind: TimedOut", "IF_REACHED", "acc.blob.core.windows.net accepts no conn"),
        ('"dns error"', "IF_REACHED", "there is no host acc.blob.core.windows.net"),
        (
            "InvalidMessage(\n InvalidContentType",
            "IF_REACHED",
            "speaks http:// instead of https://",
        ),
        ("hyper::Error(\n Parse(\n Version", "IF_REACHED", "speaks http:// instead of https://"),
        ("invalid peer certificate: UnknownIssuer", "NEVER", "windows.net is not trusted"),
        ("anything", "NEVER", "it failed (ValueError)"),
    ],
)
def test_messages_and_whether_a_failure_passes(text, passes, said):
    error = ValueError(f"Error performing PUT {URL} in 3s - {text}")
    assert troubles.passes(error) is Passes[passes]
    assert said in troubles.said(error)
    for told in (troubles.said(error), troubles.message(error)):
        assert SECRET not in told
        assert "\n" not in told
    assert ";" in troubles.message(error)  # followed by what to do


def test_the_endpoint_is_named_by_the_variable_that_holds_it(monkeypatch):
    error = ValueError('Error performing GET http://h:1/b "dns error" store: "S3"')
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert troubles.said(error).endswith("host h:1; check AWS_ENDPOINT_URL, which is not set")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://h:1")
    assert troubles.said(error).endswith("host h:1; check AWS_ENDPOINT_URL")
