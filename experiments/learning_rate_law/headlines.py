"""The tables with which a report begins: best rates by rule and rank, and how far laws miss them."""

from collections.abc import Sequence

from experiments.learning_rate_law.compared import at_end, by_rule, errors, places_of, times
from experiments.learning_rate_law.laws import RANK, RULE, SETTING, SHAPE, TARGET
from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown


def headline(found: Sequence[Finding]) -> list[Table]:
    """Returns the tables; none where no best rate was looked for."""
    found = at_end(found)
    places = places_of(found)
    return [*(_rates(found, place) for place in places), *([_laws(found, places)] if places else [])]


def _rates(found: Sequence[Finding], place: tuple[str, str]) -> Table:
    target, init = place
    own = [f for f in found if f.name == "best_rate" and (f.where["target"], f.where["init"]) == place]
    ranks = sorted({f.where["rank"] for f in own if f.where["rank"]})
    rules = list(dict.fromkeys(f.where["rule"] for f in own if f.where["rule"]))
    powers = by_rule(found, place)
    rows = []
    for rule in rules:
        at = {"target": target, "init": init, "rule": rule}
        cells = [shown(find(own, "best_rate", **at, rank=rank), ".2g") for rank in ranks]
        rows.append((rule, *cells, shown(powers.get(rule), ".2f"), shown(find(found, "lambda_exponent", **at), ".2f")))
    full = find(own, "best_rate", trains="full")
    caption = (
        f"Best learning rate of LoRA on {target} from {init} weights, by rank; its power of the rank; the largest eigenvalue's. Training "
        f"everything has {shown(full, '.2g')}. Geometric means, {held(own)}.{window_sentence(found)}"
    )
    return Table(("rule", *(f"rank {rank}" for rank in ranks), "power", "power of lambda_max"), tuple(rows), caption)


def _laws(found: Sequence[Finding], places: Sequence[tuple[str, str]]) -> Table:
    columns = [(place, what) for place in places for what in (SETTING, RANK, RULE, TARGET, SHAPE) if errors(found, place, what)]
    laws = list(dict.fromkeys(law for place, what in columns for law in errors(found, place, what)))
    rows = [(law, *(times(errors(found, place, what).get(law)) for place, what in columns)) for law in laws]
    names = [f"{what}, {target} from {init}" for (target, init), what in columns]
    own = [f for f in found if f.name == "law_error"]
    caption = (
        "By which factor each law misses best rates (root mean square of logarithms) of what was left out: a setting, all of a rank, all "
        f"of a rule, or the whole target; {held(own)}. Measured elsewhere: on other bases, or on the first target."
    )
    return Table(("law", *names), tuple(rows), caption)
