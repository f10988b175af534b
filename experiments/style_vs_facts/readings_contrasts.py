"""What tells arms apart, each time paired by seed: what is taught, how, of how many entities, in how many paraphrases; and retrieval."""

from collections.abc import Iterable, Iterator

import numpy as np

from experiments.style_vs_facts.readings_old import END, EQUAL, changes, equal, left_out
from experiments.style_vs_facts.ways import FACTS, FULL, KNOWN, STYLE, Read, Taught, steps_to
from research.analysis.contrasts import contrast
from research.findings import Finding, finding


def contrasts(read: Read) -> Iterator[Finding]:
    """Yields all contrasts for which there are arms."""
    yield from _taught(read)
    yield from _hows(read)
    yield from _paraphrases(read)
    yield from _retrieval(read)
    yield from _entities(read)


def _taught(read: Read) -> Iterator[Finding]:
    """Old facts after what was taught, at equal steps and equally trained: facts less style, each less what is known already (control)."""
    found = changes(read)
    for one, other in _pairs(found, ((FACTS, STYLE), (FACTS, KNOWN), (STYLE, KNOWN), ("mixed", KNOWN), ("conflict", KNOWN))):
        mine, its = (left_out(read, arm) for arm in (one, other))
        both = None if mine is None or its is None else mine - its
        where = {"what": "old_recall", "at": END, "between": f"{one.lesson} - {other.lesson}", "how": one.how}
        yield finding("contrast", where, read.over((found[one] - found[other]).dropna(), both), "bits/fact")


def _pairs(found: Iterable[Taught], kinds: Iterable[tuple[str, str]]) -> Iterator[tuple[Taught, Taught]]:
    """Arms of two kinds, trained alike, the second of as many entities as the first, or of most below; of several paraphrases, most."""
    known = list(found)
    for first, second in kinds:
        for one in (arm for arm in known if arm.kind == first and arm == _widest(known, arm)):
            others = [arm for arm in known if (arm.kind, arm.how) == (second, one.how) and arm.entities <= one.entities]
            if others:
                yield one, max(others, key=lambda arm: (arm.entities, arm.paraphrases))


def _widest(known: Iterable[Taught], arm: Taught) -> Taught:
    alike = [other for other in known if (other.kind, other.how, other.entities) == (arm.kind, arm.how, arm.entities)]
    return max(alike, key=lambda other: other.paraphrases)


def _hows(read: Read) -> Iterator[Finding]:
    """Each way of training less full training, on the same lesson: bits or the style at the end, old facts at the end and at equal bits."""
    known, bits, scores, old, level = (
        read.arms,
        read.ends("new_bits"),
        read.ends("style_score"),
        changes(read),
        equal(read),
    )
    for arm in known:
        full = next((other for other in known if other.lesson == arm.lesson and other.how == FULL), None)
        if full is None or arm == full:
            continue
        where = {"between": f"{arm.how} - {FULL}", "arm": arm.lesson}
        if arm.kind == STYLE:
            yield finding("contrast", {"what": "style_score", **where}, read.over(scores[arm.word] - scores[full.word]), "1")
        if arm.learns:
            yield finding("contrast", {"what": "bits_learned", **where}, read.over(bits[arm.word] - bits[full.word]), "bits")
        mine, its = (left_out(read, each) for each in (arm, full))
        both = None if mine is None or its is None else mine - its
        yield finding("contrast", {"what": "old_recall", "at": END, **where}, read.over(old[arm] - old[full], both), "bits/fact")
        if arm in level and full in level and (level[arm] - level[full]).notna().all():
            difference = read.over(level[arm] - level[full])
            yield finding("contrast", {"what": "old_recall", "at": EQUAL, **where}, difference, "bits/fact")


def _paraphrases(read: Read) -> Iterator[Finding]:
    """Facts said in more ways less those said in fewer, tokens held fixed: asked as both train, and asked as neither does."""
    known = [arm for arm in read.arms if arm.kind == FACTS]
    for one in known:
        others = [arm for arm in known if (arm.how, arm.entities) == (one.how, one.entities) and arm.paraphrases < one.paraphrases]
        for other in others:
            for asked, metric in (("trained", "new_bits"), ("withheld", "heldout_bits")):
                table = read.ends(metric)
                where = {"what": "bits_learned", "asked": asked, "between": f"{one.lesson} - {other.lesson}", "how": one.how}
                yield finding("contrast", where, read.over(table[one.word] - table[other.word]), "bits")


def _retrieval(read: Read) -> Iterator[Finding]:
    """What an arm learned of the largest world of new facts less what the base reads of them behind their statements."""
    alone, bits = read.untouched("retrieved_bits"), read.ends("new_bits")
    facts = [arm for arm in read.arms if arm.kind == FACTS]
    if alone.empty or not facts:
        return
    most = max(arm.entities for arm in facts)
    for arm in (arm for arm in facts if arm.entities == most):
        values = bits[arm.word]
        where = {"what": "bits_learned", "between": f"{arm.lesson} - retrieval", "how": arm.how}
        yield finding("contrast", where, read.over(values - alone.loc[values.index]), "bits")


def _entities(read: Read) -> Iterator[Finding]:
    """How many times the steps many entities take that few do, to nearly all of what is learned of either; a geometric mean."""
    for kind, metric, name in ((STYLE, "style_score", "steps_to_style"), (FACTS, "new_bits", "steps_to_facts")):
        table = read.ways(metric)
        own = [arm for arm in read.arms if arm.kind == kind and arm.word in table]
        for most in own:
            alike = [arm for arm in own if arm.how == most.how and arm.paraphrases == most.paraphrases and arm.entities < most.entities]
            for other in alike:
                steps = [steps_to(table[arm.word]) for arm in (most, other)]
                logs = np.log(steps[0]) - np.log(steps[1])
                where = {"what": name, "between": f"{most.lesson} / {other.lesson}", "how": most.how}
                yield finding("contrast", where, contrast(logs.to_numpy(float), read.bases.loc[logs.index].to_numpy(), factor=True), "1")
