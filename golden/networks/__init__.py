"""Float networks: our own, and where any network attends; no learning."""
