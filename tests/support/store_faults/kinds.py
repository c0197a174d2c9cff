"""What befalls a request on its way to a store, by name; which requests, how often, when.

A kind is a function of the proxy's handler, the request's body and the fault.
"""

import re
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass
from functools import partial

EVER = 1 << 30
_SAID = {
    401: "Unauthenticated",
    403: "ExpiredToken",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}


def _status(handler, body, fault):
    """Answer in the store's place, as stores do: by a document."""
    text = f"<Error><Code>{_SAID[fault.code]}</Code><Message>No.</Message></Error>"
    handler.tell(fault.code, text.encode())


def _reset(handler, body, fault):
    """Break off before the store has the request."""
    handler.shut()


def _lost(handler, body, fault):
    """Break off after the store has done its work."""
    handler.ask(body)
    handler.shut()


def _half_up(handler, body, fault):
    """Give the store half of the body, then break off on both sides."""
    lines = [f"{handler.command} {handler.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in handler.headers.items()]
    with socket.create_connection(("127.0.0.1", handler.server.port), 60) as upstream:
        upstream.sendall("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])
    handler.shut()


def _half_down(handler, body, fault):
    """Give the client half of the body, then break off."""
    status, headers, data = handler.ask(body)
    handler.tell(status, data, headers, half=True)


def _short(handler, body, fault):
    """Give the client half of what it reads, as a whole: a cache that kept half."""
    status, headers, data = handler.ask(body)
    reads = handler.command == "GET" and status in (200, 206)
    handler.tell(status, data[: len(data) // 2] if reads else data, headers)


def _pause(handler, body, fault):
    """Let it wait, then go on."""
    time.sleep(fault.wait)
    handler.tell(*_ordered(handler.ask(body)))


def _hang(handler, body, fault):
    """Let it wait for as long as the fault says, then break off."""
    time.sleep(fault.wait)
    handler.shut()


def _slow(handler, body, fault):
    """Pass some bytes a second, up and down."""
    time.sleep(len(body) / fault.rate)
    status, headers, data = handler.ask(body)
    handler.tell(status, data, headers, rate=fault.rate)


def _ordered(answer):
    status, headers, data = answer
    return status, data, headers


KINDS = {
    "status": _status,
    "reset": _reset,
    "lost": _lost,
    "half up": _half_up,
    "half down": _half_down,
    "short": _short,
    "pause": _pause,
    "hang": _hang,
    "slow": _slow,
}
# What a client may meet on any day, and has to try again.
BUSY = (429, 500, 503)
TRANSIENT = ("reset", "lost", "half up", "half down", "pause", "hang", "slow")


@dataclass(frozen=True)
class Fault:
    """What befalls which requests.

    Attributes:
      kind: one of KINDS; of `status`, `code` says which.
      match: a pattern of `METHOD /path?query`, unquoted.
      first: the first of them that is hit, from 1.
      count: how many are hit from then on, unless `seconds` says for how long.
      every: of these, one in so many.
      wait, rate: seconds of a pause; bytes a second of a slow link.
    """

    kind: str
    match: str = ""
    first: int = 1
    count: int = 1
    every: int = 1
    seconds: float = 0.0
    code: int = 500
    wait: float = 1.0
    rate: float = 50e3

    def __str__(self):
        often = f"for {self.seconds:.1f} s" if self.seconds else f"{min(self.count, 999)} times"
        often += f", every {self.every}." if self.every > 1 else ""
        more = {"status": self.code, "pause": self.wait, "hang": self.wait, "slow": self.rate}
        return f"{self.kind} {more.get(self.kind, '')} at {self.first} of {self.match!r} {often}"

    def passes(self, patience):
        """Tell whether a client that tries for so many seconds gets through."""
        if self.kind not in TRANSIENT and not (self.kind == "status" and self.code in BUSY):
            return False
        if self.kind in ("pause", "hang") and self.wait * self.count > patience / 3:
            return False
        if self.kind in ("pause", "slow"):
            return True
        return self.seconds <= patience / 4 if self.seconds else self.count <= 3


class Faults:
    """The faults of a proxy, and how often they hit."""

    def __init__(self, *faults):
        self.faults, self.hits = faults, 0
        self._met = [0] * len(faults)
        self._since = [None] * len(faults)

    def __str__(self):
        return " and ".join(map(str, self.faults))

    def __call__(self, number, method, path):
        """Return what befalls a request, None for most; the proxy holds its lock meanwhile."""
        words, now = f"{method} {urllib.parse.unquote(path)}", time.monotonic()
        for i, fault in enumerate(self.faults):
            if not re.search(fault.match, words):
                continue
            self._met[i] += 1
            at = self._met[i] - fault.first
            if at < 0 or at % fault.every:
                continue
            self._since[i] = self._since[i] or now
            lasts = now - self._since[i] < fault.seconds
            if lasts if fault.seconds else at // fault.every < fault.count:
                self.hits += 1
                return partial(_befall, fault=fault)
        return None


def _befall(handler, body, fault):
    KINDS[fault.kind](handler, body, fault)


_READ = ("", "", "^GET", "^(GET|HEAD) .*-of-", r"manifest\.json", "(list-type|prefix=)", "^HEAD")
_WRITTEN = (
    *("images|JPEG|clip_img|animals", "Class|labels|gtFine|/matting", "ImageSets", "-of-", "^GET"),
    *("^PUT", "^(POST|DELETE)", "^PUT .*-of-", r"^PUT .*manifest", "/lock", "receipts", "index/"),
)
_DRAWN = (
    *("status", "status", "status", "status", "reset", "lost", "half up", "half down"),
    *("short", "short", "pause", "hang", "slow"),
)


def draw(rng, patience, writes, matches=()):
    """Draw what befalls a command that tries for some seconds, and that writes or only reads.

    `matches` are drawn as often as all others.
    """
    match = rng.choice(_READ + _WRITTEN if writes else _READ)
    match = rng.choice((match, rng.choice(matches or (match,))))
    kind, often, wait = rng.choice(_DRAWN), rng.random(), rng.choice((0.2, 0.6, patience / 2))
    count = rng.randint(1, 3) if often < 0.5 else EVER
    return Fault(
        kind,
        match,
        first=rng.choice((1, 1, 2, rng.randint(1, 6), 1 if match else rng.randint(1, 40))),
        # All pauses together are no longer than a command may take.
        count=min(count, int(2 * patience / wait)) if kind in ("pause", "hang") else count,
        every=rng.choice((3, 4, 7)) if 0.5 <= often < 0.65 else 1,
        seconds=rng.uniform(0, patience / 4) if 0.65 <= often < 0.85 else 0.0,
        code=rng.choice((500, 500, 503, 429, 403, 401)),
        wait=wait,
        rate=rng.choice((20e3, 100e3)),
    )


class Seen(threading.Event):
    """Set at the n-th request that matches; such requests take some time."""

    def __init__(self, match, number, latency=0.0):
        super().__init__()
        self._match, self._left, self._latency = match, number, latency

    def __call__(self, number, method, path):
        """Count a request."""
        if not re.search(self._match, f"{method} {urllib.parse.unquote(path)}"):
            return None
        self._left -= 1
        if self._left <= 0:
            self.set()
        return partial(_befall, fault=Fault("pause", wait=self._latency))
