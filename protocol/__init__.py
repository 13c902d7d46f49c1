"""The wire protocol of meshai, sans-IO: bytes in, events and bytes out.

Nothing here knows trio, sockets, threads, clocks or randomness: time comes in as `now`, random numbers through a
passed generator, and the next deadline is a return value. `nodes` runs it, `simulator` runs `nodes`.
"""
