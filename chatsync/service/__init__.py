"""The relay: the only package that reads clocks, opens sockets and wires things together."""
