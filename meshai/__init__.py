"""The face of meshai: Python API, command line and demo. Holds no protocol or routing logic."""
