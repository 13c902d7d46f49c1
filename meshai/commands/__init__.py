"""The commands, one module each, named as they are typed; each holds its click command as `command`."""
