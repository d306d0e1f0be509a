"""Write the manual pages, `pepsasync.1` and one a command, from the commands: `python tools/man_pages.py DIR`.

`nox -s man` writes them to `man/`. What a page may hold: man-pages(7), man(7).
"""

import re
import sys
from pathlib import Path

from pepsasync.cli.app import COMMANDS, EXAMPLES, GROUPS, make_command
from pepsasync.version import __version__

EXITS = {
    0: "all wanted products are on disk and verified",
    1: "a product failed, or a search was incomplete",
    2: "bad usage or configuration",
    3: "credentials refused",
    4: "archive unreachable",
    5: "disk or output device full",
    130: "interrupted; the same command goes on",
    141: "the reader of the output closed it",
}
FILES = {
    "DIR/NAME.zip, DIR/NAME.SAFE/": "Products: complete and verified.",
    "DIR/.pepsasync/": "Unfinished downloads, and the journal.",
    "~/.config/pepsasync/config.toml": "Defaults and accounts; $PEPSASYNC_CONFIG names another file.",
}


def escaped(text):
    """Text as roff shows it: what begins a request or an escape does not; a hyphen of an option stays one."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def entries(pairs):
    """A list of terms and what they mean."""
    return [line for term, text in pairs for line in (".TP", f"\\fB{escaped(term)}\\fR", escaped(text))]


def paragraphs(text):
    blocks = [" ".join(block.split()) for block in (text or "").split("\n\n")]
    return [line for block in blocks for line in (".PP", escaped(block))][1:]


def page(name, line, synopsis, sections):
    """A page as text; sections are lines of roff by title."""
    title = escaped(name.replace(" ", "-"))
    told = line.rstrip(".")
    head = [
        f'.TH "{title.upper()}" 1 "" "pepsasync {__version__}" "pepsasync"',
        ".SH NAME",
        f"{title} \\- {escaped(told[0].lower() + told[1:])}",
        ".SH SYNOPSIS",
        f".B {escaped(name)}",
        escaped(synopsis),
    ]
    body = [text for title, lines in sections.items() if lines for text in (f".SH {title.upper()}", *lines)]
    return "\n".join([*head, *body, ""])


def examples(name):
    lines = EXAMPLES.get(name, ())
    return [text for line in lines for text in (".PP", ".nf", f"    {escaped(line)}", ".fi")]


def options_by_group(command, context):
    """Records of a command's help, by title."""
    groups = {}
    for param in command.get_params(context):
        if record := param.get_help_record(context):
            title = getattr(param, "rich_help_panel", None) or (
                "Arguments" if param.param_type_name == "argument" else "General"
            )
            groups.setdefault(title, []).append(record)
    return {title: entries(records) for title, records in groups.items()}


def pages():
    """Text by file name."""
    program = make_command(list(COMMANDS))
    root = program.make_context("pepsasync", [], resilient_parsing=True)
    ends = {
        "Exit status": entries((str(code), text) for code, text in EXITS.items()),
        "Files": entries(FILES.items()),
    }
    commands = {title: entries((name, COMMANDS[name][1]) for name in names) for title, names in GROUPS.items()}
    others = ", ".join(f"pepsasync\\-{name}(1)" for name in COMMANDS)
    yield (
        "pepsasync.1",
        page(
            "pepsasync",
            program.callback.__doc__.strip(),
            "COMMAND [OPTIONS]",
            {"Examples": examples("pepsasync"), **commands, **ends, "See also": [others]},
        ),
    )
    for name, command in program.commands.items():
        context = type(root)(command, info_name=name, parent=root)
        sections = {
            "Description": paragraphs(command.help),
            "Examples": examples(name),
            **options_by_group(command, context),
            **ends,
            "See also": ["pepsasync(1)"],
        }
        synopsis = " ".join(command.collect_usage_pieces(context))
        yield f"pepsasync-{name}.1", page(f"pepsasync {name}", COMMANDS[name][1], synopsis, sections)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
