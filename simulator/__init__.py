"""The virtual world: air, radios and time, in which the real node code runs unmodified.

Imports `nodes` and `protocol`, never `meshai`, and holds no copy of a node's logic.
"""
