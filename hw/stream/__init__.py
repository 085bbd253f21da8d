"""Between the pins and the datapath: payloads, receiver, collector, sender; no arithmetic."""
