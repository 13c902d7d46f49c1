"""What is to be simulated, as data (`plan`), found and read from a file (`reading`, `parsing`), its map (`mapping`).

Nothing here knows time or air: `simulator.world` brings a plan to life.
"""
