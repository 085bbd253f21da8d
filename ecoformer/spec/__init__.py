"""The contract of all packages: configuration, widths, wire, registers; imports none of them."""
