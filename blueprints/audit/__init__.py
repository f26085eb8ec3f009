"""What happened, in a chain that shows every later change; whose data was read; the proof of it."""
