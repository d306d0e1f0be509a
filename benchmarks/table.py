"""Results as Markdown, written between two marks of a file, and as lines for a terminal."""

import cases

BEGIN, END = "<!-- results: written by bench.py -->", "<!-- end of results -->"


def write_into(path, results):
    """Replace what stands between the marks.

    Raises:
        ValueError: The file has no such marks.
    """
    text = path.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n{END}{after}")


def markdown(results):
    parts = [_circumstances(results), _targets(results)]
    parts += [_case(case, results) for case in results["cases"].values()]
    if results.get("start"):
        parts.append(_starts(results["start"]))
    parts += [_script(name, found) for name, found in results["scripts"].items()]
    return "\n".join(part for part in parts if part)


def rows(header, lines):
    """A Markdown table; the first column is words, the others are figures."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in (header, marks, *lines))


def fastest_first(ways):
    return sorted(ways.items(), key=lambda item: item[1]["seconds"])


def plain_lines(ways):
    """For a terminal."""
    return [
        f"  {name:26} {found['MB_s']:6} MB/s ({found['MB_s_min']} to {found['MB_s_max']})"
        f"  pepsasync x {_number(found['pepsasync_times'])}  cpu {found['cpu_s_per_GB']} s/GB  {found['peak_MB']} MB"
        for name, found in fastest_first(ways)
    ]


def _circumstances(results):
    machine = results["machine"]
    known = [f"{name} {version}" for name, version in results["versions"].items() if version]
    text = (
        f"{machine['date']}, scale `{results['scale']}`: {machine['processors']} processors ({machine['processor']}), "
        f"{machine['memory_GB']} GB, {machine['system']}, Python {machine['python']}; "
        f"MD5 {machine['md5_MB_s']} MB/s on one core, disk {machine['disk_MB_s']} MB/s when forced to it, "
        f"load before {machine['load_before']}.\n\n"
        f"{', '.join(known)}.\n"
    )
    return f"**{results['note']}**\n\n{text}" if results["note"] else text


def _targets(results):
    lines = []
    for target in cases.TARGETS:
        if (case := results["cases"].get(target.case)) is None:
            continue
        reached = cases.judge(target, case["ways"])
        if reached is not None:
            verdict = "yes" if cases.is_met(target, reached) else "**no**"
            lines.append((f"{case['title']}: {_promise(target)}", f"{target.limit:g}", f"{reached:g}", verdict))
    for target in cases.SCRIPT_TARGETS:
        found = results["scripts"].get(target.script, {})
        if (reached := cases.judge_script(target, found.get("lines", []))) is not None:
            verdict = "yes" if reached <= target.limit else "**no**"
            lines.append((f"{target.what}, at most", f"{target.limit:g}", f"{reached:g}", verdict))
    for command, limit in cases.SLOWEST_START.items():
        if found := results.get("start", {}).get(command):
            verdict = "yes" if found["ms"] <= limit else "**no**"
            lines.append((f"`{command}`, ms, at most", limit, found["ms"], verdict))
    return f"### Targets\n\n{rows(('target', 'wanted', 'reached', 'met'), lines)}" if lines else ""


def _promise(target):
    match target.figure:
        case "faster":
            return f"{target.way}, times as fast as {target.other}"
        case "cpu":
            return f"{target.way}, processor time of that of {target.other}, at most"
        case "peak_MB":
            return f"{target.way}, MB of memory, at most"
        case "busy":
            return f"{target.way}, share of all processors' time that client and server use"
    return f"{target.way}, MB/s"


def _case(case, results):
    lines = []
    for name, found in fastest_first(case["ways"]):
        cells = [
            f"{found['MB_s']:,} ({found['MB_s_min']:,} to {found['MB_s_max']:,})",
            _number(found["pepsasync_times"]),
            found["cpu_s_per_GB"],
            found["peak_MB"],
            found["runs"],
        ]
        lines.append([_bold(cell) if name in cases.OURS else cell for cell in (name, *cells)])
    header = ("way", "MB/s (min to max)", "time, pepsasync = 1", "CPU s/GB", "peak MB", "runs")
    text = f"### {case['title']}\n\n{rows(header, lines)}"
    if case["measured"] != f"{results['machine']['date']}, scale `{results['scale']}`":
        text += f"\nMeasured {case['measured']}.\n"
    if case["missing"]:
        text += f"\nNot installed: {', '.join(case['missing'])}.\n"
    for failure in case["failed"]:
        text += f"\nFailed: {failure}\n"
    return text


def _starts(starts):
    lines = [(f"`{name}`", f"{found['ms']} ({found['min']} to {found['max']})") for name, found in starts.items()]
    return f"### Start\n\n{rows(('command', 'ms (min to max)'), lines)}"


def _script(name, found):
    text = f"### `{name}`\n\n"
    for keys, group in _alike(found.get("lines", [])):
        text += rows(keys, [[_words(line[key]) for key in keys] for line in group]) + "\n"
    return text + (f"Failed: {found['failed']}\n" if found.get("failed") else "")


def _alike(lines):
    """Neighbours with the same keys, for one table each."""
    groups = []
    for line in lines:
        if not groups or groups[-1][0] != tuple(line):
            groups.append((tuple(line), []))
        groups[-1][1].append(line)
    return groups


def _words(value):
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_words(inner) for inner in value)
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _bold(cell):
    return f"**{cell}**"


def _number(value):
    return "" if value is None else f"{value:g}"
