"""The table with which the report begins: a row for each arm, and one for retrieval."""

from collections.abc import Sequence

from research.analysis.wording import held
from research.findings import Finding, Table, find, shown

COLUMNS = ("taught", "how", "bits of new facts", "the same, asked anew", "style", "steps to 90 %", "old facts (bits/fact)", "less control")
ABSENT = "–"


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what each arm learned and what it lost, and of what the base reads behind a statement."""
    lost = [f for f in found if f.name == "old_recall" and f.where["at"] == "end" and f.where["asked"] == "plain"]
    if not lost:
        return ()
    table = [_row(found, f) for f in lost]
    read = find(found, "untouched", what="retrieved_bits")
    if read is not None:
        table.append(("nothing", "retrieval", shown(read), *[ABSENT] * (len(COLUMNS) - 4), "0"))
    caption = (
        f"What is learned and what is lost: {held(lost)}, of old facts over entities, too. Bits of new facts: 16 an entity are there, "
        "asked in a paraphrase that was trained; asked anew: in one that only lessons of all paraphrases train. Style: the probability "
        "that a sentence on others is written in it. Steps: to 90 % of what is learned at the end. Old facts: the change of what is known "
        "of entities that nobody was taught, asked plain; less control: beside a run on facts that are known already, where there is one. "
        "Retrieval: the untouched base, with the fact before the question in another paraphrase."
    )
    return (Table(COLUMNS, tuple(table), caption),)


def _row(found: Sequence[Finding], lost: Finding) -> tuple[str, ...]:
    own = {"arm": lost.where["arm"], "how": lost.where["how"]}
    bits = (find(found, "bits_learned", **own, per="total", asked=asked) for asked in ("trained", "withheld"))
    steps = find(found, "steps_to_style", **own) or find(found, "steps_to_facts", **own)
    control = next(
        (
            f
            for f in found
            if f.name == "contrast"
            and f.where["what"] == "old_recall"
            and f.where["between"].startswith(f"{own['arm']} - known:")
            and f.where["how"] == own["how"]
        ),
        None,
    )
    told = (*(shown(f) for f in bits), shown(find(found, "style_score", **own), ".2f"), shown(steps), shown(lost, ".2f"))
    return own["arm"], own["how"], *told, shown(control, ".2f")
