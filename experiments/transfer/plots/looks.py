"""How arms are drawn, the same in every figure."""

from matplotlib.lines import Line2D

from experiments.transfer.arms import ABOVE, BELOW, MATCHED, RANDOM, SCRATCH, SHUFFLED, TUNED
from research.figures import style

_A, _B = style.INIT_LOOKS["pretrained"].color, style.INIT_LOOKS["shuffled"].color
LOOKS = {
    SCRATCH: style.Look("#444444", "", (0, (5, 2))),
    MATCHED: style.Look("#444444", "", (0, (1.2, 1.2))),
    TUNED: style.Look(_A, "", (0, (5, 2))),
    "BnB": style.Look(_B, "s", "-"),
    "BnB+": style.Look(_B, "P", (0, (4, 1.5))),
    "AnB": style.Look(_A, "o", "-"),
    "AnB+": style.Look(_A, "^", (0, (4, 1.5))),
    RANDOM: style.Look(style.INIT_LOOKS["random"].color, "v", "-"),
    SHUFFLED: style.Look(style.NEXT_COLORS[1], "<", "-"),
    BELOW: style.Look(style.INIT_LOOKS["rotated"].color, "D", "-"),
    ABOVE: style.Look(style.NEXT_COLORS[0], "X", "-"),
}
SAID = {
    SCRATCH: "from scratch",
    MATCHED: "from scratch, as long as A and an arm",
    TUNED: "all of A, tuned",
    "BnB": "BnB (B's first n, frozen)",
    "BnB+": "BnB+ (tuned)",
    "AnB": "AnB (A's first n, frozen)",
    "AnB+": "AnB+ (tuned)",
    RANDOM: "random first n, frozen",
    SHUFFLED: "A's first n, permuted, frozen",
    BELOW: "all of A, first n frozen",
    ABOVE: "all of A, last n and head frozen",
}


def handles(names: list[str]) -> list[Line2D]:
    """Returns a legend entry for each arm."""
    return [style.handle(LOOKS[name], SAID[name]) for name in LOOKS if name in names]
