"""The figures of the experiment, each a pure function of records and findings."""
