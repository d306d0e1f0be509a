"""Pure decisions: no await, no file, no socket, no clock of their own."""
