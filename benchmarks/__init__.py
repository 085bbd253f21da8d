"""What is measured: each module is a command that writes its section of the results."""
