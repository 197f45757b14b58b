"""The commands, one file each. Only this package prints, and only it ends the process."""
