"""What leaves the generator: Verilog, lint waivers, manifest; describes hardware, builds none."""
