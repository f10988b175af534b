"""From records to estimates: intervals over seeds, learning rates, rank curves, spectra and costs."""
