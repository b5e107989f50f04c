"""What a room's log holds, who may do what, and the frames it travels in. Pure: no clock, no I/O."""
