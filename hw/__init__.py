"""What is built: Amaranth components, the pin-level top and its Verilog."""
