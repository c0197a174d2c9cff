"""Wrong usage, in the words of dsbuild's own errors."""

import re

import click

from dsbuild.errors import closest

# How Click writes bounds, and how they read.
_BOUNDS = (
    (r"(-?[\d.]+)<=x<=(-?[\d.]+)", r"\1 to \2"),
    (r"(-?[\d.]+)<x<=(-?[\d.]+)", r"above \1, at most \2"),
    (r"\bx>=(-?[\d.]+)", r"at least \1"),
)
# The same for what it says of a wrong number.
_NUMBERS = (
    (r"('.*') is not a valid integer( range)?", r"found \1; expected a whole number"),
    (r"('.*') is not a valid float( range)?", r"found \1; expected a number"),
    (r"(\S+) is not in the range (.+)", r"found \1; expected \2"),
)


def bounds(text: str) -> str:
    """Return a text of Click with bounds in words."""
    for pattern, said in _BOUNDS:
        text = re.sub(pattern, said, text)
    return text


def words(error: click.ClickException) -> str:
    """Return what is wrong in one line, and where help is."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    text = " ".join(_message(error, context).split())
    if context is None:
        return text
    separator = "" if text.endswith("?") else ";"
    return f"{text}{separator} see {context.command_path} --help"


def _message(error: click.ClickException, context: click.Context | None) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name}{_near(error.option_name, context)}"
    if isinstance(error, click.MissingParameter):
        return _missing(error)
    if isinstance(error, click.BadOptionUsage):
        return _plain(error.message).removeprefix("option ").replace("'", "", 2)
    if isinstance(error, click.BadParameter):
        return f"{_name(error)}{_plain(error.message)}"
    return _plain(error.format_message())


def _near(name: str, context: click.Context | None) -> str:
    """Return the suggestion of an option: its name in the help, if another of its names is near."""
    shown: dict[str, str] = {}
    for param in context.command.get_params(context) if context else ():
        for word in (*param.opts, *param.secondary_opts, *getattr(param, "aliases", ())):
            if isinstance(param, click.Option) and word.startswith("--"):
                known = word in param.opts or word in param.secondary_opts
                shown[word] = word if known else max(param.opts, key=len)
    near = closest(name.replace("_", "-"), shown) if name.startswith("--") else None
    return f"; did you mean {shown[near]}?" if near else ""


def _missing(error: click.MissingParameter) -> str:
    name = _name(error).removesuffix(": ") or "a parameter"
    choices = getattr(error.param.type, "choices", ()) if error.param else ()
    expected = f"; expected one of {', '.join(map(str, choices))}" if choices else ""
    return f"{name} is missing{expected}"


def _name(error: click.BadParameter) -> str:
    """Return the name of an option or an argument before a message."""
    if isinstance(error.param, click.Option):
        return f"{max(error.param.opts, key=len)}: "
    if error.param is not None and error.ctx is not None:
        return f"{error.param.make_metavar(error.ctx).strip('[].')}: "
    return ""


def _plain(message: str) -> str:
    """Return one of Click's messages as the middle of a sentence."""
    message = message.strip().removesuffix(".")
    for pattern, said in _NUMBERS:
        if match := re.fullmatch(pattern, message):
            return bounds(match.expand(said))
    return message[:1].lower() + message[1:] if message[1:2].islower() else message
