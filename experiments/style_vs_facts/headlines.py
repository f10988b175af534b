"""The table with which the report begins: a row for each arm, and one for retrieval."""

from collections.abc import Mapping, Sequence

from research.analysis.wording import held
from research.findings import Finding, Table, find, shown

COLUMNS = (
    *("taught", "how", "bits of new facts", "the same, asked anew", "style", "steps to half"),
    *("old facts (bits/fact)", "the same, less noise's", "less known facts'", "old facts right", "general text (bits/byte)"),
)
ABSENT = "–"


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what each arm learned and what it lost, and of what the base reads behind a statement."""
    lost = [f for f in found if f.name == "old_recall" and f.where["at"] == "end" and f.where["asked"] == "plain"]
    if not lost:
        return ()
    table = [_row(found, f) for f in lost]
    read = find(found, "untouched", what="retrieved_bits")
    if read is not None:
        table.append(("nothing", "retrieval", shown(read), *[ABSENT] * (len(COLUMNS) - 3)))
    caption = (
        f"What is learned and what is lost: {held(lost)}, of old facts over entities, too. Bits of new facts: 16 an entity are there, "
        "asked in a paraphrase that was trained; asked anew: in one that only lessons of all paraphrases train. Style: the probability "
        "that a sentence on others is written in it. Steps: to half of a sure style, or of all bits. Old facts: the change of what is "
        "known of entities that nobody was taught, asked plain, in bits and as the share that is right; less noise's: beside a run on new "
        "names of which nothing can be learned; less known facts': beside one on facts that are known already, where there are such. "
        "General text: the change of the source's loss. Retrieval: the untouched base, with the fact before the question in another "
        "paraphrase."
    )
    return (Table(COLUMNS, tuple(table), caption),)


def _row(found: Sequence[Finding], lost: Finding) -> tuple[str, ...]:
    own = {"arm": lost.where["arm"], "how": lost.where["how"]}
    bits = (find(found, "bits_learned", **own, per="total", asked=asked) for asked in ("trained", "withheld"))
    steps = find(found, "steps_to_style", **own) or find(found, "steps_to_facts", **own)
    controls = [_control(found, own, kind) for kind in ("noise:", "known:")]
    told = (*(shown(f) for f in bits), shown(find(found, "style_score", **own), ".2f"), shown(steps), shown(lost, ".2f"))
    right, text = find(found, "old_correct", **own), find(found, "source_rise", **own)
    return own["arm"], own["how"], *told, *(shown(f, ".2f") for f in (*controls, right, text))


def _control(found: Sequence[Finding], own: Mapping[str, str], kind: str) -> Finding | None:
    """The difference in old facts from a lesson that teaches nothing."""
    for f in found:
        if f.name == "contrast" and f.where["what"] == "old_recall" and f.where.get("how") == own["how"]:
            first, _, second = f.where["between"].partition(" - ")
            if first == own["arm"] and second.startswith(kind):
                return f
    return None
