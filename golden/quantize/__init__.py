"""From float to integers: calibration, the host's side, networks on an engine; no learning."""
