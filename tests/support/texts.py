"""Texts that try to escape a folder or to control a terminal."""

from hypothesis import strategies as st

HOSTILE = [
    "../../../../tmp/evil",
    "/tmp/evil",
    "a/../../b",
    "..",
    ".",
    "",
    "/",
    "a/",
    "a//b",
    "..\\..\\evil",
    "C:\\evil",
    "C:/evil",
    "a\0b",
    "nul",
    "con.txt",
    "name.",
    "name ",
    "...",
    "x\ny",
    "\x1b]0;title\x07",
    "\u202ecod.exe",
    "\udcff\udc80",
    "\x9b31m",
    "a" * 5000,
    "a/" * 5000,
    "é" * 400,
]


TEXTS = st.text(st.characters(codec=None)) | st.text(
    "./\\:%~ aU\0\x1b\u202e\udcff\x9bé", max_size=9
)


EVIL = "\"><img src=x onerror=alert(1)>&amp;'$script"
