"""The command reference and the table of exit codes, made from the commands themselves: `python -m fleet.cli.reference`.

It writes docs/cli.md and, between its markers, a section of the README; a test compares both with what stands here.
"""

import re
from pathlib import Path
from typing import Any

import typer

from fleet.cli.main import app
from fleet.exits import Exit

ROOT = Path(__file__).parents[2]
"""The checkout."""
PAGE = ROOT / "docs" / "cli.md"
README = ROOT / "README.md"
_EXITS = re.compile(r"(?<=<!-- exits -->\n).*?(?=<!-- /exits -->)", re.DOTALL)
_MARKUP = re.compile(r"\[/?(?:bold)?\]")
_HEAD = """# Every command and option

Made by `python -m fleet.cli.reference`; do not edit. stdout is data, stderr is words, and a terminal is never needed.

"""


def commands() -> dict[str, Any]:
    """Name -> Typer's command. Any: what Typer calls its commands differs between its versions."""
    whole: Any = typer.main.get_command(app)
    return dict(whole.commands)


def reference() -> str:
    """docs/cli.md."""
    sections = [_section(name, command) for name, command in commands().items()]
    return _HEAD + "\n".join(sections) + f"\n## Exit codes\n\n{exit_table()}"


def exit_table() -> str:
    """The exit codes as a Markdown table."""
    rows = [f"| {code.value} | `{code.name}` | {code.reason} |" for code in Exit]
    return "\n".join(["| code | name | meaning |", "|---|---|---|", *rows, ""])


def with_exit_table(readme: str) -> str:
    """The README's text with the table between its markers. Raises ValueError where it has none."""
    text, count = _EXITS.subn(lambda _: exit_table(), readme)
    if count != 1:
        raise ValueError(f"the README has {count} sections between <!-- exits --> and <!-- /exits -->, not one")
    return text


def _section(name: str, command: Any) -> str:
    told, _, example = _MARKUP.sub("", command.help).partition("\n\nExample: ")
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    table = ["| argument or option | default | meaning |", "|---|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## fleet {name}", "", told, "", f"    {example}", "", *table])


def _row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = f"`{parameter.name.upper()}`" if is_argument else ", ".join(f"`{name}`" for name in parameter.opts)
    default = "" if parameter.default in {None, False} else f"`{parameter.default}`"
    if parameter.envvar:
        default = f"`${parameter.envvar}`, else {default}"
    return f"| {names} | {'required' if parameter.required else default} | {parameter.help} |"


def write() -> None:
    """Bring docs/cli.md and the README up to date."""
    PAGE.write_text(reference())
    README.write_text(with_exit_table(README.read_text()))


if __name__ == "__main__":
    write()
