"""The answer in words: what each prediction is worth in this run, what contradicts first; every number is a finding."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import sentences
from research.findings import Finding, find, shown

CLAIM = (
    "The predictions are that a style is learned in fewer steps than facts, which hardly hang on how many entities it is shown on, and "
    "needs little capacity; that facts need capacity; that new facts cost old ones; and that retrieval reads new facts without training, "
    "at a price for each question [95 % intervals, paired by base; few bases, and many comparisons: leads, not proofs]"
)
NOTHING = "Nothing was compared: for that, styles, facts and what is known have to be taught"
AGAINST, OPEN, FOR, UNJUDGED = (
    "Against the predictions",
    "Not told apart",
    "As predicted",
    "Not compared, or without an interval over bases",
)
ORDER = (AGAINST, OPEN, FOR, UNJUDGED)
SHORT = {AGAINST: "against the prediction", OPEN: "not told apart", FOR: "as predicted", UNJUDGED: "no verdict"}
STYLE, FACTS, OLD, RETRIEVAL = "Style", "Facts", "Old facts", "Retrieval"
NEAR = 0.1  # of a score of 1: an adapter that comes so near is enough for a style
LAW = 2.0  # bits a parameter, of transformers that saw each fact often (Allen-Zhu & Li 2024, arXiv 2404.05405)


class Said(NamedTuple):
    """A sentence, which prediction it is on, and what it is worth."""

    prediction: str
    verdict: str
    text: str


def answer(found: Sequence[Finding]) -> str:
    """Returns how each prediction fared, in short; and in a second paragraph what contradicts first, what is open, what is carried."""
    if not found:
        return ""
    said = [each for part in (_style, _capacity, _forgets, _retrieval) for each in part(found)]
    if not said:
        return sentences([CLAIM, NOTHING])
    short = [f"{prediction}: {_fared([each for each in said if each.prediction == prediction])}" for prediction in _predictions(said)]
    long = [f"{verdict}: {'; '.join(each.text for each in said if each.verdict == verdict)}" for verdict in ORDER if _any(said, verdict)]
    rest = [*_prices_of_style(found), *_controls(found), *_marginal(found), *_beside_retrieval(found), *_saturated(found), *_edges(found)]
    return sentences([CLAIM, *short], [*long, *rest])


def judged(f: Finding, predicted: Callable[[Finding], str]) -> str:
    """Returns the verdict on a difference, unjudged where no interval over bases holds it."""
    if f.value is None or f.n < 2 or f.low is None or f.high is None or BASE_LEFT_OUT in f.note:
        return UNJUDGED
    return predicted(f)


def below(f: Finding, null: float = 0.0) -> str:
    """Returns the verdict where less than a null is predicted."""
    assert f.low is not None and f.high is not None
    return FOR if f.high < null else AGAINST if f.low > null else OPEN


def above(f: Finding, null: float = 0.0) -> str:
    """Returns the verdict where more than a null is predicted."""
    return {FOR: AGAINST, AGAINST: FOR, OPEN: OPEN}[below(f, null)]


def _predictions(said: Sequence[Said]) -> list[str]:
    return list(dict.fromkeys(each.prediction for each in said))


def _any(said: Sequence[Said], verdict: str) -> bool:
    return any(each.verdict == verdict for each in said)


def _fared(said: Sequence[Said]) -> str:
    """How many comparisons say what of a prediction: 'as predicted 2, not told apart 1 of 3'."""
    counts = Counter(each.verdict for each in said)
    told = ", ".join(f"{SHORT[verdict]} {counts[verdict]}" for verdict in ORDER if counts[verdict])
    return f"{told} of {len(said)}"


def _contrasts(found: Sequence[Finding], what: str) -> list[Finding]:
    return [f for f in found if f.name == "contrast" and f.where["what"] == what]


def _style(found: Sequence[Finding]) -> Iterator[Said]:
    """A style's steps beside those of facts, and by entities, with where they end; and what the smallest adapters make of it."""
    compared = [f for what in ("steps", "steps_to_style") for f in _contrasts(found, what)]
    for f in (f for f in compared if f.value is None):
        yield Said(STYLE, UNJUDGED, f"steps of {f.where['between']} ({f.where['how']}) cannot be compared: {f.note}")
    for f in (f for f in _contrasts(found, "steps") if f.value is not None):
        fewer = judged(f, lambda g: above(g, 1.0))
        yield Said(STYLE, fewer, f"facts take {shown(f, '.2f')} times the steps of a style ({f.where['between']}, {f.where['how']})")
    for f in (f for f in _contrasts(found, "steps_to_style") if f.value is not None):
        ends = find(found, "contrast", what="style_score", between=f.where["between"].replace(" / ", " - "), how=f.where["how"])
        beside = "" if ends is None else f", and ends {shown(ends, '.2f')} apart in its score"
        hardly = judged(f, lambda g: FOR if (g.high or 0) < _times(g) else AGAINST if (g.low or 0) > _times(g) else OPEN)
        hangs = f"hardly: less than {_times(f):g}"
        text = f"a style ({f.where['between']}, {f.where['how']}) takes {shown(f, '.2f')} times the steps ({hangs}){beside}"
        yield Said(STYLE, hardly, text)
    for f in (f for f in _contrasts(found, "style_score") if f.where["between"].endswith(" - full")):
        whole = find(found, "style_score", arm=f.where["arm"], how="full")
        reached = judged(f, lambda g: FOR if (g.low or 0) > -NEAR else AGAINST if (g.high or 0) < -NEAR else OPEN)
        how = f.where["between"].split(" - ")[0]
        yield Said(STYLE, reached, f"{how} ends {shown(f, '.2f')} beside full training's score of {shown(whole, '.2f')}")


def _times(f: Finding) -> float:
    """The square root of how many times the entities are: a style whose steps rise by less hardly hangs on them."""
    most, least = (float(next(part for part in side.split(":") if part.isdecimal())) for side in f.where["between"].split(" / "))
    return (most / least) ** 0.5


def _capacity(found: Sequence[Finding]) -> Iterator[Said]:
    """Less is learned by fewer parameters; that is for want of capacity only where what is learned has come to rest."""
    for f in (f for f in _contrasts(found, "bits_learned") if f.where["between"].endswith(" - full")):
        how, arm = f.where["between"].split(" - ")[0], f.where["arm"]
        whole = find(found, "bits_learned", arm=arm, how="full", per="total", asked="trained")
        rest = find(found, "bits_per_parameter", arm=arm, how=how)
        verdict, why = judged(f, below), ""
        own = find(found, "bits_learned", arm=arm, how=how, per="total", asked="trained")
        if verdict == FOR and _knows_nobody(found, own):
            verdict, why = OPEN, ", no more than how often values occur: it knows nobody, for want of capacity or of steps"
        elif verdict == FOR and (rest is None or not rest.note.startswith("saturated")):
            rests = "it was not read whether it still learns" if rest is None else rest.note.split(";")[0]
            verdict, why = OPEN, f", which says nothing of capacity: {rests}"
        yield Said(FACTS, verdict, f"of {arm} {how} learns {shown(f)} bits beside full training's {shown(whole)}{why}")


def _knows_nobody(found: Sequence[Finding], own: Finding | None) -> bool:
    """Returns whether bits of new facts are not clearly more than who knows only how often each value occurs reads."""
    chance = max((f.high or f.value or 0.0 for f in found if f.name == "marginal_bits"), default=0.0)
    return own is None or own.low is None or own.low <= chance


def _forgets(found: Sequence[Finding]) -> Iterator[Said]:
    """What is left of old facts beside training on as many new names of which nothing can be learned, in bits and in how many are right."""
    for f in (f for f in _contrasts(found, "old_recall") if " - noise:" in f.where["between"]):
        right = _right(found, f)
        first, _, second = f.where["between"].partition(" - ")
        text = f"{first} ({f.where['how']}) changes old facts by {shown(f, '.2f')} bits, and the share that is right by "
        yield Said(OLD, judged(right or f, below), f"{text}{shown(right, '.2f')}, beside {second}, of which nothing can be learned")


def _right(found: Sequence[Finding], f: Finding) -> Finding | None:
    return find(found, "contrast", what="old_correct", between=f.where["between"], how=f.where["how"])


def _retrieval(found: Sequence[Finding]) -> Iterator[Said]:
    read, alone, stray = (find(found, "untouched", what=what) for what in ("retrieved_bits", "new_bits", "stray_bits"))
    if read is not None and alone is not None:
        verdict = judged(read, lambda f: above(f, max(0.0, alone.high or 0.0)))
        behind = f", and {shown(stray)} behind a fact of somebody else: it copies, whosever the value is" if _low(stray) else ""
        text = f"retrieval reads {shown(read)} bits of new facts, of which a base knows {shown(alone)} without{behind}"
        yield Said(RETRIEVAL, verdict, text)


def _low(f: Finding | None) -> bool:
    return f is not None and f.high is not None and f.high < 0


def _prices_of_style(found: Sequence[Finding]) -> Iterator[str]:
    """What a style costs elsewhere: general text, and known facts asked in it."""
    told = []
    for f in (f for f in found if f.name == "style_score" and f.where["arm"].startswith("style:")):
        own = {"arm": f.where["arm"], "how": f.where["how"]}
        text, old = find(found, "source_rise", **own), find(found, "old_recall", **own, asked="in the style")
        told.append(f"{own['arm']} by {own['how']} {shown(text, '.2f')} bits/byte and {shown(old, '.2f')} bits/fact")
    if told:
        yield f"What a style costs general text, and facts asked in it beside what the base knows asked plain: {'; '.join(told)}"


def _controls(found: Sequence[Finding]) -> Iterator[str]:
    """What any training costs old facts beside training on what is known: new facts, and names of which nothing can be learned."""
    own = [f for f in _contrasts(found, "old_recall") if " - known:" in f.where["between"]]
    told = [f"{f.where['between'].split(' - ')[0]} {shown(f, '.2f')} bits and {shown(_right(found, f), '.2f')} of those right" for f in own]
    if told:
        yield f"Beside training on what is known, old facts change after {'; '.join(told)}"


def _marginal(found: Sequence[Finding]) -> Iterator[str]:
    if own := [f"{shown(f)} of {16 * f.where['entities']:,}" for f in found if f.name == "marginal_bits"]:
        yield f"Who knows no entity, but how often each value occurs, reads so many bits of new facts: {', '.join(own)}"


def _beside_retrieval(found: Sequence[Finding]) -> Iterator[str]:
    """What training knows of new facts less what retrieval reads, and from how many questions on it is cheaper, where it has learned."""
    told = []
    for f in (
        f for f in _contrasts(found, "bits_learned") if f.where["between"].endswith(" - retrieval") and f.where["asked"] == "trained"
    ):
        arm, how = f.where["between"].split(" - ")[0], f.where["how"]
        anew = find(found, "contrast", what="bits_learned", between=f.where["between"], how=how, asked="withheld")
        queries = find(found, "breakeven_queries", how=how)
        learned = find(found, "bits_learned", arm=arm, how=how, per="total", asked="trained")
        costs = queries and not _knows_nobody(found, learned)
        price = f" (a run costs as much as {shown(queries)} questions with a fact before each)" if costs else ""
        told.append(f"{arm} by {how} {shown(f)}, asked in a paraphrase that it was not trained on {shown(anew)}{price}")
    if told:
        yield (
            "Bits of new facts that training reads, less those that retrieval does; a price where more was learned than how often values "
            f"occur, for all facts together and without the search for a learning rate: {'; '.join(told)}"
        )


def _saturated(found: Sequence[Finding]) -> Iterator[str]:
    own = [f for f in found if f.name == "bits_per_parameter" and f.value is not None]
    for f in sorted(own, key=lambda f: -(f.value or 0.0))[:1]:
        yield (
            f"Most bits a parameter has {f.where['how']} ({f.where['arm']}): {shown(f)}, {f.note.split(';')[0]}; the law of {LAW:g} is of "
            "whole models that saw each fact a thousand times"
        )


def _edges(found: Sequence[Finding]) -> Iterator[str]:
    edges = [f.where["arm"] for f in found if f.name == "learning_rate" and "optimum may lie beyond" in f.note]
    if edges:
        yield f"Learning rates lie on the edge of their grid, where a better one may lie outside, for {', '.join(edges)}"
