"""What tells arms apart, each time paired by seed: what is taught, how, of how many entities, in how many paraphrases; and retrieval."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from experiments.style_vs_facts.readings_old import END, EQUAL, changes, equal, left_out
from experiments.style_vs_facts.ways import CONFLICT, FACTS, FULL, KNOWN, MIXED, NOISE, STYLE, Read, Taught, level, steps_to
from research.analysis.contrasts import contrast
from research.findings import Estimate, Finding, finding


def contrasts(read: Read) -> Iterator[Finding]:
    """Yields all contrasts for which there are arms."""
    yield from _taught(read)
    yield from _hows(read)
    yield from _paraphrases(read)
    yield from _retrieval(read)
    yield from _entities(read)


def _taught(read: Read) -> Iterator[Finding]:
    """Old facts after what was taught less after what teaches nothing: noise on new names, and what is known; and a style beside facts.

    All take the learning rate of facts, and as many steps, but for a style alone, which is compared with nothing that has another rate.
    """
    found, correct = changes(read), changes(read, "old_correct", "old_correct")
    kinds = ((FACTS, NOISE), (FACTS, KNOWN), (NOISE, KNOWN), (MIXED, FACTS), (MIXED, KNOWN), (CONFLICT, KNOWN))
    for one, other in _pairs(found, kinds):
        mine, its = (left_out(read, arm) for arm in (one, other))
        both = None if mine is None or its is None else mine - its
        where = {"at": END, "between": f"{one.lesson} - {other.lesson}", "how": one.how}
        yield finding("contrast", {"what": "old_recall", **where}, read.over((found[one] - found[other]).dropna(), both), "bits/fact")
        if one in correct and other in correct:
            yield finding("contrast", {"what": "old_correct", **where}, read.over((correct[one] - correct[other]).dropna()), "1")


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
    known, bits, scores, old, halfway = read.arms, read.ends("new_bits"), read.ends("style_score"), changes(read), equal(read)
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
        if arm in halfway and full in halfway and (halfway[arm] - halfway[full]).notna().all():
            difference = read.over(halfway[arm] - halfway[full])
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
    """What an arm learned of the largest world of new facts less what the base reads of them behind their statements.

    Asked in a paraphrase that was trained, and in one that was withheld, as the base is asked in one that the context does not have.
    """
    alone = read.untouched("retrieved_bits")
    facts = [arm for arm in read.arms if arm.kind == FACTS]
    if alone.empty or not facts:
        return
    most = max(arm.entities for arm in facts)
    for asked, metric in (("trained", "new_bits"), ("withheld", "heldout_bits")):
        bits = read.ends(metric)
        for arm in (arm for arm in facts if arm.entities == most):
            values = bits[arm.word]
            where = {"what": "bits_learned", "asked": asked, "between": f"{arm.lesson} - retrieval", "how": arm.how}
            yield finding("contrast", where, read.over(values - alone.loc[values.index]), "bits")


def _entities(read: Read) -> Iterator[Finding]:
    """How many times the steps many entities take that few do, to half of what there is to be learned, a geometric mean; and the ends.

    Facts beside a style on as many entities, trained alike, too.
    """
    tables = {STYLE: read.ways("style_score"), FACTS: read.ways("new_bits")}
    own = [arm for arm in read.arms if arm.kind in tables and arm.word in tables[arm.kind]]
    for one, other in itertools.permutations(own, 2):
        if one.how != other.how:
            continue
        more = one.kind == other.kind and one.entities > other.entities and one.paraphrases == other.paraphrases
        beside = (one.kind, other.kind) == (FACTS, STYLE) and one.entities == other.entities and one == _widest(own, one)
        if more or beside:
            logs = np.log(steps_to(tables[one.kind][one.word], level(one))) - np.log(steps_to(tables[other.kind][other.word], level(other)))
            name = f"steps_to_{one.kind}" if more else "steps"
            where = {"what": name, "between": f"{one.lesson} / {other.lesson}", "how": one.how}
            yield finding("contrast", where, _times(logs, read), "1")
        if more and one.kind == STYLE:
            ends = tables[STYLE][one.word].iloc[:, -1] - tables[STYLE][other.word].iloc[:, -1]
            where = {"what": "style_score", "between": f"{one.lesson} - {other.lesson}", "arm": one.lesson, "how": one.how}
            yield finding("contrast", where, read.over(ends), "1")


def _times(logs: pd.Series, read: Read) -> Estimate:
    """A geometric mean of ratios of steps, none where a run does not come up to the level."""
    if lost := int(logs.isna().sum()):
        return Estimate(None, None, None, len(logs), "ratio of steps", f"half is not reached in {lost} of {len(logs)} pairs of runs")
    return contrast(logs.to_numpy(float), read.bases.loc[logs.index].to_numpy(), factor=True)
