"""The table with which the report begins: a row for each number of blocks, a column for each arm."""

from collections.abc import Sequence

from experiments.transfer.arms import ARMS, DONOR, MATCHED, OWN, RANDOM, SCRATCH, SHUFFLED, TUNED
from experiments.transfer.losses import UNTOUCHED
from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

UNTRAINED = tuple(UNTOUCHED.format(donor) for donor in (DONOR, OWN))


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns the losses of all arms, and what they mean: specificity, co-adaptation, and the gain beside training from scratch."""
    ends = [f for f in found if f.name == "transfer_loss" and f.where["share"] == 1]
    if not ends:
        return ()
    names = [name for name in ARMS if any(f.where["arm"] == name and f.where["n"] is not None for f in ends)]
    blocks = sorted({f.where["n"] for f in ends if f.where["n"] is not None})
    alone = [f for name in (SCRATCH, MATCHED, TUNED, *UNTRAINED) for f in ends if f.where["arm"] == name]
    beside = ", ".join(f"{f.where['arm']} {shown(f, '.3f')}" for f in alone)
    said = "; ".join(f"{name}: {ARMS[name].said}" for name in names)
    caption = (
        f"Loss on the target at the end of training, {ends[0].unit}: {held(ends)}. Beside them {beside}. {said}.{window_sentence(found)}"
    )
    lines = tuple((str(n), *(shown(find(ends, "transfer_loss", arm=name, n=n), ".3f") for name in names)) for n in blocks)
    tables = [Table(("n blocks", *names), lines, caption)] if names else []
    return (*tables, *_differences(found, blocks), *_accuracies(found, names, blocks))


def _accuracies(found: Sequence[Finding], names: Sequence[str], blocks: Sequence[int]) -> tuple[Table, ...]:
    own = [f for f in found if f.name == "transfer_accuracy"]
    if not own:
        return ()
    beside = ", ".join(f"{f.where['arm']} {shown(f, '.4f')}" for f in own if f.where["n"] is None)
    lines = tuple((str(n), *(shown(find(own, "transfer_accuracy", arm=name, n=n), ".4f") for name in names)) for n in blocks)
    return (Table(("n blocks", *names), lines, f"Accuracy on the target's classes: {held(own)}. Beside them {beside}."),)


def _differences(found: Sequence[Finding], blocks: Sequence[int]) -> tuple[Table, ...]:
    columns = {
        "specificity (AnB - BnB)": [find(found, "specificity", n=n) for n in blocks],
        "AnB - random": [find(found, "features", n=n, beside=RANDOM) for n in blocks],
        "AnB - shuffled": [find(found, "features", n=n, beside=SHUFFLED) for n in blocks],
        f"BnB - {SCRATCH}": [find(found, "coadaptation", n=n, beside=SCRATCH) for n in blocks],
        "BnB - BnB+": [find(found, "coadaptation", n=n, beside="BnB+") for n in blocks],
        f"AnB+ - {SCRATCH}": [find(found, "contrast", between=f"AnB+ - {SCRATCH}", n=n) for n in blocks],
        f"AnB+ - {MATCHED}": [find(found, "contrast", between=f"AnB+ - {MATCHED}", n=n) for n in blocks],
    }
    kept = {name: some for name, some in columns.items() if any(some)}
    if not kept:
        return ()
    read = [f for some in kept.values() for f in some if f is not None]
    lines = tuple((str(n), *(shown(some[place], ".3f") for some in kept.values())) for place, n in enumerate(blocks))
    return (Table(("n blocks", *kept), lines, f"Differences of losses on the target, {read[0].unit}, paired by seed: {held(read)}."),)
