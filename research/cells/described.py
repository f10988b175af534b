"""Records of what a run of texts is of: the windows it reads, and whose base it starts from."""

from typing import Any

from research.cells.phases import reference
from research.cells.study import Study
from research.cells.subject import Rows


def described(experiment: str, study: Study, **where: Any) -> Rows:
    """Returns 'window', the tokens of a window (windows do not overlap: their stride), and, of a base from elsewhere, 'foreign_base'.

    Its note says which base, and what belongs beside every number. `where` as in `reference`.
    """
    rows = [reference(experiment, "window", study.model.max_length, "tokens", **where)]
    if study.checkpoint is not None:
        base, said = study.checkpoint.word, study.checkpoint.note
        rows.append({**reference(experiment, "foreign_base", 1.0, "count", **where), "note": f"{base} ({said})" if said else base})
    return rows
