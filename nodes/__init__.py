"""The trio runtime of a meshai node: bearers, engines, cache, router, and the node that wires them.

Imports `protocol` only. Never prints, parses arguments or exits the process: that is `meshai`'s business.
"""
