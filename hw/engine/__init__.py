"""The engine put together: datapath, workers, register file, pin-level top; no arithmetic."""
