"""Small charts as SVG paths, drawn by the server. Pure: numbers in, coordinates and words out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 96
_ROOM = 4  # above and below the line

Values = Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    key: str
    title: str
    lines: Sequence[str]  # `points` of polylines; nothing was measured between them
    areas: Sequence[str]  # `points` of polygons below them
    top: str  # in words: what the upper edge stands for
    now: str  # the last value
    summary: str  # for who does not see it
    tone: str = ""  # "failed" when something in it is bad news

    @property
    def is_empty(self) -> bool:
        return not self.lines


def draw(key: str, title: str, values: Values, words: Callable[[float], str], *, least: float, tone: str = "") -> Chart:
    """`least`: the upper edge stands for no less than that, so that noise does not look like a storm."""
    known = [value for value in values if value is not None]
    if not known:
        return Chart(key, title, (), (), "", "", f"{title}: nothing was measured.")
    top = max(*known, least)
    runs = _runs(values, top)
    summary = (
        f"{title}: {words(known[-1])} at last, between {words(min(known))} and {words(max(known))}, "
        f"{words(sum(known) / len(known))} on average."
    )
    return Chart(
        key,
        title,
        [" ".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in runs],
        [_area(run) for run in runs],
        words(top),
        words(known[-1]),
        summary,
        tone if any(known) else "",
    )


def _runs(values: Values, top: float) -> list[list[tuple[float, float]]]:
    """The points of each unbroken run of values. A single value is a short line, or nobody would see it."""
    step = WIDTH / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = []
    broken = True
    for index, value in enumerate(values):
        if value is None:
            broken = True
            continue
        if broken:
            runs.append([])
        broken = False
        runs[-1].append((index * step, HEIGHT - _ROOM - (HEIGHT - 2 * _ROOM) * value / top))
    return [run if len(run) > 1 else [run[0], (min(run[0][0] + step / 2, WIDTH), run[0][1])] for run in runs]


def _area(run: Sequence[tuple[float, float]]) -> str:
    points = [(run[0][0], float(HEIGHT)), *run, (run[-1][0], float(HEIGHT))]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def size(count: float) -> str:
    """Bytes as people read them: "0 B", "512 KB", "1.5 GB"."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1024
    return f"{value:.1f} {unit}" if value < 10 and unit in ("MB", "GB") else f"{value:.0f} {unit}"


def share(value: float) -> str:
    """Of one processor: 0.5 is "50 %"."""
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def number(value: float) -> str:
    return f"{value:,.0f}"
