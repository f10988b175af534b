"""What all figures share: colors, markers, off-axis marks, and how a figure becomes a file."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter

from research.files import atomic_write, explained, file_word

DPI = 150
SHEET = Path(__file__).with_name("lowlands.mplstyle")
GRAY = "#6b6b6b"
BITS = "bits/byte"


class Look(NamedTuple):
    """How a word is drawn everywhere: color, marker, line style."""

    color: str
    marker: str
    line: Any


class Captioned(NamedTuple):
    """A figure and the words below it."""

    figure: Figure
    caption: str


# Okabe and Ito's palette (2008), told apart by readers with any common color vision; its yellow is left out, too faint on white. Beside
# its green, their purple looks gray to a deuteranope: rotated weights have Tol's darker wine.
INIT_LOOKS = {
    "pretrained": Look("#0072B2", "o", "-"),
    "shuffled": Look("#D55E00", "s", (0, (6, 2))),
    "rotated": Look("#882255", "D", (0, (1.2, 1.2))),
    "random": Look("#009E73", "^", (0, (4, 1.5, 1, 1.5))),
}
NEXT_COLORS = ("#E69F00", "#56B4E9", "#CC79A7")
NEXT_MARKERS = ("v", "P", "X", "<")
NEXT_LINES = ((0, (8, 2, 2, 2)), (0, (3, 1, 1, 1, 1, 1)))
FULL = Look("#000000", "*", (0, (5, 2)))
MATCHED = Look("#7a7a7a", "D", (0, (5, 1.5, 1, 1.5)))
TRAINS_NAMES = {"full": "everything trained", "matched": "same matrices, full rank"}
TRAINS_LOOKS = {"full": FULL, "matched": MATCHED}
TRAINS_SIZES = {"full": 8.0, "matched": 4.5}
_DRAWN: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


def looks(words: Iterable[str]) -> dict[str, Look]:
    """Returns the look of each word: the fixed one of the default's initializations, for others the next free one by name."""
    words = set(words)
    chosen = {word: look for word, look in INIT_LOOKS.items() if word in words}
    for i, word in enumerate(sorted(words - set(INIT_LOOKS))):
        chosen[word] = Look(NEXT_COLORS[i % 3], NEXT_MARKERS[i % 4], NEXT_LINES[i % 2])
    return chosen


def rank_colors(ranks: Sequence[int]) -> dict[int, Any]:
    """Returns one color per rank, from light (smallest) to dark (largest), of a perceptually even map."""
    ramp = matplotlib.colormaps["plasma_r"]
    shades = np.linspace(0.18, 0.88, len(ranks)) if len(ranks) != 1 else [0.6]
    return {rank: ramp(shade) for rank, shade in zip(ranks, shades, strict=True)}


@contextmanager
def context() -> Iterator[None]:
    """Applies the project's style sheet for the duration, whatever the caller's matplotlib settings are."""
    with matplotlib.style.context(["default", SHEET]):
        yield


def blank(width: float, height: float) -> Figure:
    """Returns an empty figure of this size in inches, drawn by Agg and unknown to pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def sentence(text: str) -> Figure:
    """Returns a figure that says in plain words why there is nothing to draw."""
    with context():
        figure = blank(5.8, 1.2)
        figure.text(0.5, 0.5, text, ha="center", va="center", color=GRAY, wrap=True)
        return figure


def off_axis(axes: Axes, x: float, value: float, color: str, above: int) -> None:
    """Writes a value that lies above the axis, or a diverged one, at the top of its column; `above` counts those already there."""
    text = f"{value:.1f} ↑" if math.isfinite(value) else "div. ×"
    spot = (x, 0.985 - 0.055 * above)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    axes.annotate(text, spot, xycoords=axes.get_xaxis_transform(), ha="center", va="top", color=color, fontsize=8.5, bbox=paper, zorder=4)


def name_line(axes: Axes, y: float, name: str) -> None:
    """Writes the name of a horizontal line beside the axes, where no data can be; a line out of sight keeps its name to itself."""
    low, high = axes.get_ylim()
    spot = (1.015, y)
    if not low <= y <= high:
        return
    axes.annotate(f"{name}\n{y:.2f}", spot, xycoords=axes.get_yaxis_transform(), va="center", color=GRAY, fontsize=8)


def legend_below(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Puts the legend under the panels, where no data can be."""
    _legend(figure, handles, "outside lower center")


def legend_on_top(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Puts the legend above the panels."""
    _legend(figure, handles, "outside upper center")


def legend_above(figure: Figure, inits: Sequence[str], solid: bool = True) -> None:
    """Puts the initializations' looks above the panels."""
    words = looks(inits)
    handles = [handle(words[init], init, linestyle="-" if solid else words[init].line) for init in inits]
    named = [Line2D([], [], linestyle="none", label="from weights:"), *handles]
    legend_on_top(figure, named)


def _legend(figure: Figure, handles: Sequence[Line2D], place: Literal["outside lower center", "outside upper center"]) -> None:
    """A legend in as many columns as the figure's width has room for."""
    names = [str(handle.get_label()) for handle in handles]
    columns = next((n for n in range(min(len(names), 5), 1, -1) if _legend_width(names, n) < figure.get_figwidth() - 0.3), 1)
    figure.legend(handles=list(handles), loc=place, ncols=columns)


def _legend_width(names: Sequence[str], columns: int) -> float:
    """Returns about how many inches a legend takes in this many columns, which are filled from the left."""
    return sum(0.6 + 0.07 * max(map(len, part)) for part in np.array_split(np.array(names, dtype=object), columns))


def handle(look: Look, label: str, **changes: Any) -> Line2D:
    """Returns a legend entry in this look."""
    return Line2D([], [], **{"color": look.color, "marker": look.marker, "linestyle": look.line, "label": label, **changes})


def compact(value: float) -> str:
    """Returns a count with three significant digits and a letter: 950, 1.02k, 3.4M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def plain_ticks(axis: Axis, minor: Sequence[float] = ()) -> None:
    """Names the major ticks in plain decimals or counts, 0.001 or 1.5k; minor ticks stand at `minor` only, unnamed."""
    axis.set_major_formatter(lambda value, _: compact(value))
    axis.set_minor_locator(FixedLocator(list(minor)))
    axis.set_minor_formatter(NullFormatter())


def png(figure: Figure) -> bytes:
    """Returns the figure as PNG at 150 dots per inch; equal figures give equal bytes.

    Drawing ends the figure's making: its layout is fixed then, and later calls return the same bytes without drawing again.
    """
    if figure not in _DRAWN:
        buffer = io.BytesIO()
        with context():
            figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        figure.set_layout_engine("none")
        _DRAWN[figure] = buffer.getvalue()
    return _DRAWN[figure]


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes name.png and name.pdf into `folder` and returns their paths; the bytes depend on the figure alone. UsageError when it cannot.

    A pair already there with this very PNG is left as it is: drawing a PDF costs as much as all the rest.
    """
    bitmap, vector = (folder / f"{file_word(name)}.{kind}" for kind in ("png", "pdf"))
    data = png(figure)
    if vector.exists() and bitmap.exists() and bitmap.read_bytes() == data:
        return [bitmap, vector]
    pages = io.BytesIO()
    with context():
        figure.savefig(pages, format="pdf", metadata={"CreationDate": None})
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    atomic_write(vector, pages.getvalue())
    atomic_write(bitmap, data)
    return [bitmap, vector]
