"""What all commands have in common: short names, headings in help, usage errors, suggestions.

    -o  --out        -j  --workers    -q  --quiet
    -f  --overwrite  -v  --verbose, another name for --all

Every command that has one of these options has its letter, too.
"""

import re
import sys
from collections.abc import Container, Iterable, Sequence
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from dsbuild.cli import next_command, usage
from dsbuild.cli.headings import COMMANDS, headings
from dsbuild.cli.options import echo, say
from dsbuild.errors import nearest

OUT = "out_option"  # the parameter of --out, if a command has an argument OUT as well
SHORT = {
    "--out": ("-o",),
    "--workers": ("-j",),
    "--quiet": ("-q",),
    "--overwrite": ("-f",),
    "--all": ("-v", "--verbose"),
}
_OTHERS = "Others"  # the heading of commands that have none
_COLUMN = 30  # of help, where the text of options begins


class Option(click.Option):
    """An option that may have further names, which work but are not in the help."""

    def __init__(self, *words: Any, aliases: Iterable[str] = (), **how: Any) -> None:
        super().__init__(*words, **how)
        self.aliases = tuple(aliases)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Give the parser all names."""
        shown = self.opts
        self.opts = [*shown, *self.aliases]
        super().add_to_parser(parser, ctx)
        self.opts = shown


def names(param: click.Parameter) -> list[str]:
    """Return all names of an option, those in the help first."""
    return [*param.opts, *param.secondary_opts, *getattr(param, "aliases", ())]


def _hyphened(arg: str, known: Container[str]) -> str:
    """Return an argument with hyphens if that makes it an option: `--batch_size=8`."""
    name, equals, value = arg.partition("=")
    hyphened = name.replace("_", "-")
    return f"{hyphened}{equals}{value}" if name not in known and hyphened in known else arg


class Command(click.Command):
    """A command whose options have short names, and headings in its help."""

    def __init__(self, *given: Any, **how: Any) -> None:
        super().__init__(*given, **how)
        for param in self.params:
            for word in set(param.opts) & SHORT.keys() if isinstance(param, click.Option) else ():
                param.opts += [name for name in SHORT[word] if name not in param.opts]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; OUT may be given as an argument or by --out."""
        if ctx.resilient_parsing and args and args[-1].startswith("-"):
            args = args[:-1]  # its value is being completed; Click would drop the arguments, too
        known = {name for param in self.get_params(ctx) for name in names(param)}
        args = [_hyphened(arg, known) for arg in args]
        ctx.meta[next_command.GIVEN] = tuple(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:  # of which the parser's own have no context
            error.ctx = error.ctx or ctx
            raise
        out = ctx.params.pop(OUT, None)
        if out is not None:
            placed = ctx.get_parameter_source("out") == ParameterSource.COMMANDLINE
            if placed and ctx.params["out"] != out:
                raise click.UsageError(
                    f"found OUT {ctx.params['out']} and --out {out}; expected one of them", ctx
                )
            ctx.params["out"] = out
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        grouped = headings(self.name or "")
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in grouped}
        where = {word: heading for heading, words in grouped.items() for word in words}
        rest = next(heading for heading, words in grouped.items() if not words)
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if row is not None:
                row = _plain(*row)
                word = next((word for word in param.opts if word in where), "")
                rows[where.get(word, rest)].append(row)
        order = {word: i for words in grouped.values() for i, word in enumerate(words)}
        for heading, found in rows.items():
            if found:
                found.sort(key=lambda row: order.get(_long(row[0]), -1))
                _write(formatter, heading, found)


def _long(names: str) -> str:
    """Return the long name of an option from those in its row: `-q, --quiet`, `--a / --no-a`."""
    return next((w for w in names.replace(",", " ").split() if w.startswith("--")), "")


def _plain(option: str, text: str) -> tuple[str, str]:
    """Return a row of the help with a short word for numbers, and bounds in words."""
    option = re.sub(r"INTEGER( RANGE)?", "N", option).replace("FLOAT RANGE", "FLOAT")
    return option, usage.bounds(text)


def _write(formatter: click.HelpFormatter, heading: str, rows: Sequence[tuple[str, str]]) -> None:
    """Write rows with their texts in one column, the same under every heading."""
    widest = max(len(name) for name, _ in rows)
    with formatter.section(heading):
        formatter.write_dl(rows, col_max=_COLUMN, col_spacing=2 + max(0, _COLUMN - widest))


class Group(click.Group):
    """The program: commands under headings, other names of commands, errors in one line."""

    def __init__(self, *given: Any, others: dict[str, str] | None = None, **how: Any) -> None:
        super().__init__(*given, **how)
        self.others = others or {}

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run; wrong usage is one red line and exit code 2."""
        try:
            done = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            refuse(error)
        except click.Abort:  # Ctrl-C before a command has begun
            if not standalone_mode:
                raise
            say("interrupted: nothing was written; run the same command again", "yellow")
            sys.exit(130)
        if not standalone_mode:
            return done
        sys.exit(done if isinstance(done, int) else 0)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; print the help if there is nothing to parse."""
        if not args and not ctx.resilient_parsing:
            echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, or of another name."""
        return super().get_command(ctx, self.others.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first argument; suggest one for a name that is unknown."""
        name = args[0]
        if self.get_command(ctx, name) or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = nearest(name, [*self.commands, *self.others])
        raise click.UsageError(f"there is no command {name!r}{near}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        known = {
            name: click.Command(name, help=text)  # a command is not imported for its help
            for found in COMMANDS.values()
            for name, text in found.items()
        }
        rest = {name: self.commands[name] for name in self.commands if name not in known}
        width = max(map(len, self.commands))
        limit = formatter.width - 6 - width
        for heading, named in COMMANDS.items():
            found = {name: known[name] for name in named} | (rest if heading == _OTHERS else {})
            rows = [
                (name.ljust(width), one.get_short_help_str(limit)) for name, one in found.items()
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)


def refuse(error: click.ClickException) -> NoReturn:
    """Print wrong usage in one line; exit with code 2."""
    say(f"error: {usage.words(error)}", "red")
    sys.exit(2)
