"""The contract all rooms share: configuration, widths, wire, registers; imports no other room."""
