"""The page's parts that are pictures: videos, curves, traces, stills; and the data behind them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.draw.curves import Chart, Line, draw
from openloop_cli.draw.curves.chart import Values, ahead, number, shown
from openloop_cli.draw.curves.palette import entry_style
from openloop_cli.draw.curves.svg import swatch
from openloop_cli.draw.grid import Legend
from openloop_cli.encode.still import tile_lefts
from openloop_cli.measures.metrics import psnr_of
from openloop_cli.page.media import MOST_WINDOWS, Media, Player, Trace
from openloop_cli.page.parts import data_uri, e, explained, more, rows, section
from openloop_cli.page.words import action_repeat
from openloop_cli.results.metrics_file import PER_WINDOW
from openloop_cli.text import clean, plural

WIDE, NARROW = (1060, 330), (400, 270)
_CHART, _TRACE = (400, 230), (300, 120)
# Traces that are shown at once.
_FEW = 9

Definitions = Mapping[str, str]


def watch(media: Media) -> str:
    """The videos, and which window they show."""
    if not media.players:
        body = _picker(media) + _window_line()
        return section("watch", "Pick a window", body) if media.traces else ""
    players = "".join(_player(player, media) for player in media.players)
    key = (
        '<p class="key">'
        '<span><span class="state seen">context</span> the model sees every frame</span>'
        ' <span><span class="state imagined">imagined</span> it sees only the actions</span>'
        f"{_legend(media.players[0])}</p>"
    )
    side = f"<div>{_picker(media)}{_views(media)}</div>"
    body = f'<div class="stage"><div class="players">{players}</div>{side}</div>'
    return section("watch", "Videos", key + body)


def transport(horizon: tuple[int, int]) -> str:
    """One scrubber for videos and curves; it appears where a script can move it."""
    speeds = "".join(
        f'<option value="{rate}"{" selected" if rate == 1 else ""}>{rate:g}×</option>'
        for rate in (0.25, 0.5, 1, 2, 4)
    )
    return (
        '<div class="transport" role="group" aria-label="Step" hidden>'
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="step" min="0" max="{sum(horizon) - 1}" value="0"'
        ' aria-label="Step of the window">'
        '<select id="speed" aria-label="Playback speed" title="Playback speed">'
        f'{speeds}</select><output id="state" for="step"></output></div>'
    )


def _views(media: Media) -> str:
    """Ways to look at the videos, and which window is shown; where scripts run."""
    views = []
    if len(media.windows) > 1:
        words = f"Show {len(media.windows)} windows at once"
        views.append(f'<button type="button" id="grid" aria-pressed="false">{words}</button>')
    if len(flips(media.players[0])) > 1:
        views.append(
            '<button type="button" id="flip" aria-pressed="false" aria-keyshortcuts="F">'
            "Flip in place <kbd>F</kbd></button>"
        )
    return (
        f'<div class="views" role="group" aria-label="View" hidden>{"".join(views)}</div>'
        f"{_window_line()}"
    )


def _window_line() -> str:
    return (
        '<p class="window-line" hidden>Window <span class="window-name"></span>'
        ' <code class="window-id"></code>'
        ' <button type="button" data-copy="window" hidden>Copy ID</button>'
        '<span class="recorded"></span></p>'
    )


def flips(player: Player) -> list[int]:
    """The tiles worth flipping between at the same step: the pictures among them, and of more than
    two those that are predicted."""
    pictures = [i for i, label in enumerate(player.labels) if label not in player.legends]
    return pictures[1:] if len(pictures) > 2 else pictures


def curves(charts: Sequence[Chart], definitions: Definitions) -> str:
    """All curves, the first one large."""
    figures = [_chart(chart, definitions, large=i == 0) for i, chart in enumerate(charts)]
    lead = (
        "Means over windows with 95 % intervals. Step 0 is the last context step. Tick a line in a"
        " legend to show or hide it."
    )
    body = f'<div class="charts">{"".join(figures)}</div>'
    return section("curves", "Curves", body, lead=lead) if charts else ""


def traces(media: Media) -> str:
    """What was recorded and what was predicted in one window; scripts show the others."""
    if not media.traces:
        return ""
    figures = [_trace(trace, index, media.context) for index, trace in enumerate(media.traces)]
    names = ["recorded", *media.traces[0].predicted]
    legend = "".join(
        f"<li>{swatch(line.style)}<span>{e(name)}</span></li>"
        for name, line in zip(names, _trace_lines(media.traces[0], 0), strict=True)
    )
    spread = ""
    if any(trace.low is not None for trace in media.traces):
        spread = " The band is one standard deviation of the imagined futures around their mean."
    body = (
        f'<p class="lead">Window <span class="window-name">{media.windows[0].index + 1}</span>,'
        f" in the observation's own units.{spread}</p>"
        f'<ul class="legend">{legend}</ul><div class="traces">{"".join(figures[:_FEW])}</div>'
    )
    if len(figures) > _FEW:
        rest = f'<div class="traces">{"".join(figures[_FEW:])}</div>'
        body += more(plural(len(figures) - _FEW, "more dimension"), rest)
    return section("traces", "Predictions in one window", body)


def stills(media: Media) -> str:
    """Chosen steps of a few windows, for print and for those who do not run scripts."""
    figures = [
        _still(player, media, place, png)
        for player in media.players
        for place, png in player.stills
    ]
    lead = "Chosen steps from left to right, for print and slides."
    return section("stills", "Stills", "".join(figures), lead=lead) if figures else ""


def data(charts: Sequence[Chart], media: Media | None, tree: Mapping[str, Any]) -> dict[str, Any]:
    """What the script needs: numbers of each curve, windows, and where their blocks lie."""
    found: dict[str, Any] = {
        "charts": {chart.id: _chart_data(chart) for chart in charts if not chart.axis}
    }
    rollout = tree.get("rollout", {})
    found["context"] = int(rollout.get("context", 0))
    found["steps"] = int(rollout.get("length", 0))
    ids = [str(x) for x in rollout.get("windows", [])]
    # Stored steps before a window's first one, which only prime the latents.
    found["skip"] = int(number(tree.get("config", {}).get("replay_context")) or 0)
    found["repeat"] = action_repeat(tree)
    found["all"] = ids
    if media is None:
        nothing: dict[str, Any] = {"windows": [], "ids": [], "players": [], "traces": []}
        return found | {"fps": 10, "overlays": {}} | nothing
    return found | {
        "ids": [ids[w.index] if w.index < len(ids) else "" for w in media.windows],
        "fps": media.fps,
        "windows": [shown.index + 1 for shown in media.windows],
        "players": [_player_data(player) for player in media.players],
        "traces": [
            [_trace_data(trace, place) for place in range(len(media.windows))]
            for trace in media.traces
        ],
        "overlays": _overlays(charts, media, tree),
    }


def _player_data(player: Player) -> dict[str, Any]:
    return {
        "size": player.size,
        "block": player.block,
        "blocks": player.blocks,
        "tiles": player.tiles,
        "labels": [clean(label) for label in player.labels],
        "flips": flips(player),
    }


def _player(player: Player, media: Media) -> str:
    labels = "".join(f"<span>{e(label)}</span>" for label in player.labels)
    width, height = player.size
    order = ", ".join(player.labels)
    known = (
        f"Video of {player.key}: {order} of {len(media.windows)} windows,"
        f" {media.context} context steps, then {media.steps - media.context} imagined"
    )
    return (
        f'<figure class="player"><figcaption><span class="keyname">{e(player.key)}</span>'
        f'<span class="plain">Each block is a window: {e(order)}, from left to right.</span>'
        '<span class="flipped" aria-live="polite"></span>'
        f'<span class="labels" aria-hidden="true">{labels}</span></figcaption>'
        f'<div class="crop"><video controls muted loop playsinline preload="auto"'
        f' width="{width}" height="{height}" aria-label="{e(known)}"'
        f' src="{data_uri("video/mp4", player.mp4)}"></video></div></figure>'
    )


def _legend(player: Player) -> str:
    """From left to right, as the ramp of each coloured tile runs."""
    return "".join(
        f' <span>{e(label)}: {e(legend.ends[0])} <span class="ramp" aria-hidden="true"'
        f' style="background:{_gradient(legend)}"></span> {e(legend.ends[1])}</span>'
        for label, legend in player.legends.items()
    )


def _gradient(legend: Legend) -> str:
    places = [round(i * (len(legend.ramp) - 1) / 4) for i in range(5)]
    colours = ",".join(f"rgb({r},{g},{b})" for r, g, b in legend.ramp[places].tolist())
    return f"linear-gradient(90deg,{colours})"


def _picker(media: Media) -> str:
    groups: dict[str, list[str]] = {}
    for place, window in enumerate(media.windows):
        checked = " checked" if place == 0 else ""
        groups.setdefault(window.group, []).append(
            f'<label><input type="radio" name="window" value="{place}"{checked}>'
            f"<span>{window.index + 1}<small>{e(window.score)}</small></span></label>"
        )
    rest = "of the others" if len(media.windows) == MOST_WINDOWS else "others"
    names = {name: name or (rest if len(groups) > 1 else "") for name in groups}
    parts = "".join(
        f'<div class="group"><span class="group-name">{e(names[name])}</span>{"".join(items)}</div>'
        for name, items in groups.items()
    )
    return (
        '<fieldset class="picker" hidden><legend>Window, with its error over the imagined steps'
        f"</legend>{parts}</fieldset>"
    )


def _chart(chart: Chart, definitions: Definitions, *, large: bool) -> str:
    name, _, better = chart.unit.partition(", ")
    if large:
        plot = (
            f'<div class="plot wide">{draw(chart, *WIDE)}</div>'
            f'<div class="plot narrow">{draw(chart, *NARROW, name=f"{chart.id}-n")}</div>'
        )
    else:
        plot = f'<div class="plot">{draw(chart, *_CHART)}</div>'
    legend = "".join(
        f"<li>{_key(line, choice=len(chart.lines) > 1)}"
        f'<span class="value" data-line="{i}">{_mean(line)}</span></li>'
        for i, line in enumerate(chart.lines)
    )
    terms = [chart.term, *(line.term for line in chart.lines)]
    note = f'<p class="note">{e(chart.note)}</p>' if chart.note else ""
    asked = more(
        "Definitions and numbers",
        explained(terms, definitions) + _table(chart),
        of=chart.title,
    )
    unit = f"{name}, {better}" if better else name
    return (
        f'<figure class="chart{" large" if large else ""}" id="c-{e(chart.id)}"'
        f' data-chart="{e(chart.id)}" aria-labelledby="h-{e(chart.id)}">'
        f'<figcaption><h3 id="h-{e(chart.id)}">{e(chart.title)}</h3>'
        f'<p class="unit"><span class="at"></span>{e(unit)}</p></figcaption>'
        f'{plot}<ul class="legend">{legend}</ul>{note}'
        f"{asked}"
        "</figure>\n"
    )


def _key(line: Line, *, choice: bool) -> str:
    """A line's name; where there are several a box that shows or hides it, by CSS alone."""
    name = f"{swatch(line.style)}<span>{e(line.name)}</span>"
    if not choice:
        return f'<span class="named">{name}</span>'
    ticked = "" if line.hidden else " checked"
    return (
        f'<label class="named"><input type="checkbox" value="{line.style}"{ticked}>{name}</label>'
    )


def _mean(line: Line) -> str:
    return f"mean {shown(line.mean)}" if line.mean is not None else ""


def _table(chart: Chart) -> str:
    """The chart's numbers, for those who read rather than look."""
    lines = []
    for i in range(chart.last - chart.first + 1):
        lines.append([chart.named(i), *(_cell(line, i) for line in chart.lines)])
    header = ["training step" if chart.axis else "step", *(line.name for line in chart.lines)]
    return rows(header, lines, f"Numbers of {chart.title}", kind="numbers")


def _cell(line: Line, i: int) -> str:
    value = line.values[i] if i < len(line.values) else None
    low = line.low[i] if i < len(line.low) else None
    high = line.high[i] if i < len(line.high) else None
    if value is None or low is None or high is None:
        return shown(value)
    return f"{shown(value)} ({shown(low)} to {shown(high)})"


def _still(player: Player, media: Media, place: int, png: bytes) -> str:
    window = media.windows[place]
    width = int.from_bytes(png[16:20], "big")
    height = int.from_bytes(png[20:24], "big")
    tile = (width - (tile_lefts(player.steps, media.context, 0)[-1])) // len(player.steps)
    marks = []
    for step, x in zip(player.steps, tile_lefts(player.steps, media.context, tile), strict=True):
        k = step - media.context + 1
        kind = "imagined" if k > 0 else "seen"
        word = ahead(k) if k > 0 else "context"
        place_of = f"left:{100 * x / width:.2f}%;width:{100 * tile / width:.2f}%"
        marks.append(f'<span class="{kind}" style="{place_of}">{word}</span>')
    labels = "".join(f"<span>{e(label)}</span>" for label in player.labels)
    which = f"{window.group}, " if window.group else ""
    words = f"{player.key}, window {window.index + 1} ({which}{window.score})"
    steps = ", ".join(ahead(s - media.context + 1) for s in player.steps)
    alt = f"{words}: {', '.join(player.labels)}, at steps {steps}"
    return (
        f'<figure class="still"><figcaption>{e(words)}</figcaption>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{e(f"Still of {words}")}">'
        f'<div class="strip">'
        f'<div class="steps" aria-hidden="true">{"".join(marks)}</div>'
        f'<div class="rows" aria-hidden="true">{labels}</div>'
        f'<img src="{data_uri("image/png", png)}" width="{width}" height="{height}"'
        f' alt="{e(alt)}"></div></div></figure>'
    )


def _trace(trace: Trace, index: int, context: int) -> str:
    chart = _trace_chart(trace, index, 0, context)
    return (
        f'<figure class="trace" data-trace="{index}"><figcaption>{e(trace.title)}</figcaption>'
        f'<div class="plot">{draw(chart, *_TRACE, named=False)}</div></figure>'
    )


def _trace_chart(trace: Trace, index: int, place: int, context: int) -> Chart:
    """The trace of one window on an axis that fits all windows."""
    everything = [trace.recorded, *trace.predicted.values()]
    everything += [x for x in (trace.low, trace.high) if x is not None]
    known = np.concatenate([x[np.isfinite(x)].ravel() for x in everything])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return Chart(
        f"trace{index}", trace.title, "recorded and predicted", 1 - context,
        tuple(_trace_lines(trace, place)[::-1]), domain=(low, high),
    )  # fmt: skip


def _trace_lines(trace: Trace, place: int) -> list[Line]:
    lines = [Line("recorded", "truth", _values(trace.recorded[place]))]
    for i, (name, values) in enumerate(trace.predicted.items()):
        style = "model" if len(trace.predicted) == 1 else entry_style(i)
        low, high = (
            _values(x[place]) if x is not None and i == 0 else () for x in (trace.low, trace.high)
        )
        lines.append(Line(name, style, _values(values[place]), low, high))
    return lines


def _trace_data(trace: Trace, place: int) -> dict[str, Any]:
    return {
        line.style: {"v": line.values, "l": line.low, "h": line.high}
        for line in _trace_lines(trace, place)
    }


def _chart_data(chart: Chart) -> dict[str, Any]:
    lines = [
        {"s": line.style, "v": line.values, "l": line.low, "h": line.high} for line in chart.lines
    ]
    return {"first": chart.first, "lines": lines}


def _overlays(
    charts: Sequence[Chart], media: Media, tree: Mapping[str, Any]
) -> dict[str, list[Values]]:
    """By chart: the model's PSNR in each shown window."""
    overlays = {}
    for chart in charts:
        found = tree.get("observations", {}).get(chart.key, {})
        series = found.get(PER_WINDOW, {}).get("model")
        if chart.term == "psnr" and series is not None and chart.lines[0].style == "model":
            overlays[chart.id] = [
                (None, *_psnr(np.asarray(series[window.index]))) for window in media.windows
            ]
    return overlays


def _psnr(mse: Array) -> Values:
    return tuple(round(x, 2) if math.isfinite(x) else None for x in psnr_of(mse).tolist())


def _values(series: Array) -> Values:
    return tuple(number(float(f"{x:.4g}")) for x in series)
