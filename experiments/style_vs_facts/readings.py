"""x."""
import pandas as pd
from research.findings import Finding
def findings(results: pd.DataFrame) -> list[Finding]:
    return []
