"""What a rank costs, from pretrained and from null weights, on several targets, learning rates tuned per arm: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.lora_rank_sweep import headlines, readings
from experiments.lora_rank_sweep.plots import contrasts as contrast_plot
from experiments.lora_rank_sweep.plots import costs as cost_plot
from experiments.lora_rank_sweep.plots import cuts, gaps, ranks, tradeoff
from experiments.lora_rank_sweep.plots import forgetting as forgetting_plot
from experiments.lora_rank_sweep.plots import ledger as ledger_plot
from experiments.lora_rank_sweep.subject import rank_subjects
from research.cells.phases import measured
from research.cells.subject import planned
from research.figures import learning_curves
from research.figures import learning_rates as rate_figure
from research.figures import spectra as spectra_figure
from research.figures.style import Captioned
from research.findings import Finding, Table
from research.runtime.conclusions import Milestone
from research.runtime.workdir import Workdir
from research.sweeps import Plan

NAME = "lora_rank_sweep"
QUESTION = "How much does low rank cost a fine-tune, and does pretraining make it cost less?"
STAGE = 2  # raise by hand when the meaning of a cell changes
EXTENDABLE = ("targets", "ranks", "seeds")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    rank_subjects(config.to_dict())


def plan(config: Any) -> Plan:
    """Returns what would run."""
    return planned(rank_subjects(config.to_dict()))


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]] | Milestone]:
    """Yields the records of the sweep, part by part: references, selection, choice, results, spectra, cut updates, costs."""
    yield from measured(NAME, STAGE, rank_subjects(config.to_dict()), workdir)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns r90 (relative and absolute), recovered shares, gaps, learning rate ratios, source and target losses."""
    return readings.findings(results)


def headline(findings: Sequence[Finding]) -> Sequence[Table]:
    """Returns the tables with which the report begins."""
    return headlines.headline(findings)


def answer(findings: Sequence[Finding]) -> str:
    """Returns the answer in one sentence, generated from the findings."""
    return headlines.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption; one of whose records there are none is left out."""
    found = readings.findings(results)
    drawn = {
        "gap_against_rank": Captioned(gaps.gap_against_rank(found), gaps.caption(found)),
        "gap_contrasts": Captioned(contrast_plot.gap_contrasts(found), contrast_plot.caption(found)),
        "loss_against_rank": Captioned(ranks.loss_against_rank(results), ranks.caption(results)),
        "cut_updates": Captioned(cuts.cut_updates(found), cuts.caption(found)),
        "update_spectra": Captioned(spectra_figure.update_spectra(results), spectra_figure.caption(results)),
        "learning_rates": Captioned(rate_figure.loss_against_learning_rate(results), rate_figure.caption(results)),
        "learning_curves": Captioned(learning_curves.learning_curves(results), learning_curves.caption(results)),
        "ledger": Captioned(ledger_plot.ledger(results), ledger_plot.caption(results)),
        "cost_per_arm": Captioned(cost_plot.cost_per_arm(results), cost_plot.caption(results)),
        "source_against_target": Captioned(tradeoff.source_against_target(results), tradeoff.caption(results)),
        "source_at_equal_loss": Captioned(forgetting_plot.source_at_equal_loss(results, found), forgetting_plot.caption(found)),
    }
    return {name: captioned for name, captioned in drawn.items() if captioned.figure.axes}
