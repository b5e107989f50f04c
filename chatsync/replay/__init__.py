"""Where chat meets program time: stamps, slices and room state. Pure: no clock, no I/O."""
