"""What a Meshtastic radio's own firmware does, one radio at a time: packets, queue, contention, keys, modules.

Knows neither the air (`simulator.medium`) nor clients: it stands on a `Host`. `core` puts the parts together.
"""
