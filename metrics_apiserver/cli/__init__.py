"""The commands, a file each. Only here is anything printed, and here alone the process exits."""
