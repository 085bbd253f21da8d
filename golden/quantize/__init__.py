"""From float to integers: calibration, the host's side, networks run on an engine."""
