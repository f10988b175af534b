"""Records by their coordinates: those that there are, none of what was not read."""

import pandas as pd

from research.analysis.tables import rows


def test_rows_are_those_with_the_coordinates_and_their_values_are_numbers() -> None:
    own = pd.DataFrame({"metric": ["loss", "loss", "trace"], "seed": [0, 1, 0], "value": [1.5, None, 2]}, dtype=object)
    assert rows(own, metric="loss", seed=0)["value"].tolist() == [1.5]
    assert rows(own, metric="loss")["value"].dtype == float and rows(own, metric="loss")["value"].isna().sum() == 1
    assert rows(own, metric="loss", phase="path").empty and rows(own, metric="norm").empty
    assert rows(pd.DataFrame(), metric="loss").empty
