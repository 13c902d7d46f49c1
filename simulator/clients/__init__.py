"""How Meshtastic's own programs speak to a virtual radio: the stream protocol over TCP and HTTP, and administration.

In real time only; nodes in virtual time use `simulator.radio` instead.
"""
